"""Make encoders of other makers' models."""
