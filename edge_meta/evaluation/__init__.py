"""Accuracy over episodes, and how well strangers are told from enrolled classes."""
