"""Accuracy over episodes, and rejection of strangers."""
