"""The names that a dataset can be given by, for help texts and messages."""

from __future__ import annotations

from collections.abc import Iterable

DESCRIPTIONS = {
    "omniglot": "1,623 handwritten characters of 50 alphabets, 20 drawers each; MIT licence; fetched once",
    "lake": "Lake's 20 one-shot runs over Omniglot's evaluation alphabets, for evaluate only; MIT licence; fetched once",
    "glyphs": "characters drawn from matplotlib's fonts; made on the spot",
    "folder:PATH": "your own: a folder of images, of .wav or .flac recordings, or of .npy arrays or .csv series per class",
    "npz:PATH": "your own: arrays x, uint8 images (n, H, W[, C]), recordings (n, samples) or others, and y (n,)",
    "csv:PATH": "your own: a .csv file with columns path and label, for files as in folder:PATH",
    "huggingface:PATH": "your own: a folder that Hugging Face's datasets saved by save_to_disk",
    "shards:PATH": "your own: a folder of WebDataset shards (.tar) with images, streamed, for sets that outgrow memory",
}
FETCHED = ("omniglot", "lake")


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


NAMES = _listed(DESCRIPTIONS)
"""For evaluation."""

TRAINABLE_NAMES = _listed(name for name in DESCRIPTIONS if name != "lake")
"""For training and calibration."""
