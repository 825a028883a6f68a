"""Values that options take, where the command line may not import the module that acts on them."""

from __future__ import annotations

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
EXPORT_TARGETS = ("litert", "tflm", "web", "edgetpu", "imprint")
INPUT_KINDS = ("image", "audio", "array")
CHANNEL_ORDERS = ("rgb", "bgr")
