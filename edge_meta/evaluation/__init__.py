"""Accuracy over episodes, rejection of strangers, and checks on a user's own examples."""
