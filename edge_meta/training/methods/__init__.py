"""The meta-learning methods: one module each, which owns its loss and its inner loop."""
