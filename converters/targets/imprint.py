"""Make the target imprint: a plain classifier whose last layer is made of enrolled prototypes, for apps without a runtime.

Weight imprinting (Qi et al. 2018) with the linear head of prototypical networks, W = 2c and b = −‖c‖² (Snell et al. 2017,
eq. 8), or the columns that `adapt` has moved; a softmax follows. The classifier cannot say "unknown".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.data_licences import licence_of
from converters.targets.base import image_input, normalized_in_file
from converters.tflite.edit import add_constant, add_tensor, encoder_alone, new_operator, serialize
from converters.tflite.metadata import with_labels
from edge_meta.errors import ExportError, LabelError
from edge_meta.files import replacing, writable
from edge_meta.heads import linear
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.store_migration import open_users_store
from edge_meta.store.messages import ENROLL_FIRST
from edge_meta.store.reader import Snapshot


def imprint(bundle: Bundle, store: str | Path | None, output: str | Path, overwrite: bool = False) -> tuple[str, ...]:
    """Write a classifier of the enrolled labels, one .tflite file that names them; returns the labels.

    Args:
        store: the .db file; by default the one in the user's data folder, as for `Classifier.load`.
        overwrite: replace a .tflite file that is at `output`.

    Raises:
        LabelError: fewer than two labels are enrolled. StoreError: see there.
        ExportError: `output` is taken or cannot be written, or a label is of several lines.
        OutputError: see `files.writable`.
    """
    output = Path(output)
    writable(output, or_folder=True)
    if output.exists():
        if not overwrite:
            raise ExportError(f"{output} exists.", "Use --overwrite to replace it, or choose another --output.")
        if output.is_dir() or output.read_bytes()[4:8] != b"TFL3":
            raise ExportError(f"{output} is not a .tflite file, so it is not replaced.", "Choose another --output.")
    with open_users_store(bundle, store) as kept:
        snapshot, path = kept.snapshot(), kept.path
    if len(snapshot.labels) < 2:
        raise LabelError(f"A classifier needs at least two labels; {path} has {len(snapshot.labels)}.", ENROLL_FIRST)
    content = classifier(bundle, snapshot)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as file:
            file.write(content)
    except OSError as error:
        raise ExportError(f"{output} cannot be written ({error}).", "Choose another --output, or free space.") from None
    return snapshot.labels


def classifier(bundle: Bundle, snapshot: Snapshot) -> bytes:
    """Make the file: image [1, H, W, C] → scores [1, N], float32, the softmax that `classify` gives."""
    if several := [label for label in snapshot.labels if len(label.splitlines()) > 1]:
        raise ExportError(
            f"The label {several[0]!r} has several lines, and labels.txt one for each label.", "Enroll it anew."
        )
    input_spec = image_input(bundle, "imprint")
    weights, bias = linear.linear_from_columns(snapshot.prototypes, snapshot.columns)
    model = encoder_alone(normalized_in_file(bundle).model)
    graph = model.subgraphs[0]
    count, embedding = len(snapshot.labels), int(graph.outputs[0])
    kernel = add_constant(model, "prototypes", weights.T.astype(np.float32))
    offsets = add_constant(model, "bias", bias.astype(np.float32))
    logits, scores = (add_tensor(model, name, "float32", (1, count)) for name in ("logits", "scores"))
    graph.operators += [
        new_operator(model, "FULLY_CONNECTED", [embedding, kernel, offsets], [logits]),
        new_operator(model, "SOFTMAX", [logits], [scores], beta=1.0),
    ]
    graph.outputs = np.array([scores], np.int32)
    for signature in model.signatureDefs:
        signature.outputs[0].name, signature.outputs[0].tensorIndex = "scores", scores
        signature.signatureKey = "serving_default"
    manifest = bundle.manifest
    return with_labels(serialize(model), input_spec, snapshot.labels, licence_of(manifest.training))
