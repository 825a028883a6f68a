"""Teach the shipped encoder two classes on a device: enroll, classify, meet a stranger, undo.

    pip install "edge-meta[image]"
    python examples/enroll.py [FOLDER]

FOLDER has a subfolder of images per class; the last class is the stranger, not enrolled. Without it, shapes are drawn.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from edge_meta import Classifier


def drawn(strokes: list[tuple[int, int, int, int]], shift: int) -> np.ndarray:
    """Black strokes on white, uint8 (40, 40); a stroke is its first and last row, then column."""
    image = np.full((40, 40), 255, np.uint8)
    for top, bottom, left, right in strokes:
        image[top + shift : bottom + shift, left + shift : right + shift] = 0
    return image


down, across, below = (4, 34, 4, 7), (17, 20, 4, 34), (31, 34, 4, 34)
shapes = {"cross": [(4, 34, 17, 20), across], "corner": [down, below], "bars": [(4, 7, 4, 34), across, below]}
examples = {name: [drawn(strokes, shift) for shift in range(4)] for name, strokes in shapes.items()}
if len(sys.argv) > 1:
    examples = {path.name: sorted(path.iterdir()) for path in sorted(Path(sys.argv[1]).iterdir())}

with tempfile.TemporaryDirectory() as folder, Classifier.load("omniglot", store=Path(folder, "store.db")) as classifier:
    for label in list(examples)[:-1]:
        print(classifier.enroll(label, examples[label][:-1]))  # the last example is kept, to ask about
    for label, images in examples.items():
        print(f"{label}: {classifier.classify(images[-1]).best}")  # a label of None is unknown
    print(classifier.undo())
    print(f"left: {classifier.labels}")
