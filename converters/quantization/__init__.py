"""Quantize Keras encoders to .tflite files, and compare them with the float encoders."""
