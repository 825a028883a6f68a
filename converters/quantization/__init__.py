"""Keras encoders to quantized .tflite files, and the proof that they are as good."""
