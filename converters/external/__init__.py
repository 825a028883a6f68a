"""Other people's models as encoders."""
