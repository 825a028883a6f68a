"""What runs on the device: NumPy, the standard library, and an interpreter that is imported when a bundle is opened."""
