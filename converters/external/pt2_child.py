"""Convert a .pt2 file to .tflite, in a venv that has litert-torch: python pt2_child.py MODEL.pt2 MODEL.tflite."""

from __future__ import annotations

import sys


def main() -> None:
    """Convert the exported program for the example inputs that it was exported with."""
    import litert_torch
    import torch

    source, output = sys.argv[1:]
    program = torch.export.load(source)
    given, named = program.example_inputs
    litert_torch.convert(program.module(), given, named or None).export(output)


if __name__ == "__main__":
    main()
