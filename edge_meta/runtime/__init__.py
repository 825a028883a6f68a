"""The device's side: bundles, their encoders, and the classifier. It needs NumPy and an interpreter."""
