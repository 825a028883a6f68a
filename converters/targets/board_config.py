"""Write edge_meta_config.h: what the C library of a board has to know of its encoder."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np

from converters.targets.integer import End
from edge_meta.heads.rejection import Rejection
from edge_meta.heads.store_evidence import normal_quantile
from edge_meta.inputs.array import ArrayInput
from edge_meta.inputs.series import SeriesInput

LIBRARY = Path(__file__).parent / "board"
NAME = "edge_meta_config.h"
MOST_CLASSES = 64  # of a board

TEXT = """\
/* Of encoder {encoder_id}. Made by edge-meta export --target tflm. */
#ifndef EDGE_META_CONFIG_H_
#define EDGE_META_CONFIG_H_

/* clang-format off */
#define EM_ENCODER_ID {{{id_bytes}}}
#define EM_DIM {dim} /* values of an embedding */
{taken}

{values}

/* How near a query must be to be known: squared distances for 1 to 64 classes, at two numbers of shots. */
{limits}
/* clang-format on */

#endif /* EDGE_META_CONFIG_H_ */
"""


def config(encoder_id: str, dim: int, output: End | None, rejection: Rejection | None, taken: int | ArrayInput) -> str:
    """Write the header.

    Args:
        encoder_id: 32 hexadecimal digits.
        output: of an encoder that gives int8; None to keep embeddings as float32.
        rejection: None if the bundle is not calibrated: then every query is known.
        taken: bytes of an image, or the arrays that an encoder takes and gives float32 for.
    """
    values = ["#define EM_INT8 0"]
    if output is not None:
        values = ["#define EM_INT8 1 /* embeddings are kept as int8: (q - EM_ZERO_POINT) * EM_SCALE */"]
        values += [f"#define EM_SCALE {_literal(output.scale)}", f"#define EM_ZERO_POINT ({output.zero_point})"]
    return TEXT.format(
        encoder_id=encoder_id,
        id_bytes=", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(encoder_id)),
        dim=dim,
        taken="\n".join(_taken(taken)),
        values="\n".join(values),
        limits="\n".join(_limits(rejection)),
    )


def _taken(taken: int | ArrayInput) -> list[str]:
    if isinstance(taken, int):
        return [
            f"#define EM_INPUT_BYTES {taken} /* of an image, as the camera gives it */",
            "#define EM_INPUT_FLOATS 0",
        ]
    lines = [
        f"#define EM_INPUT_BYTES {4 * math.prod(taken.shape)} /* of float32 values */",
        "#define EM_INPUT_FLOATS 1 /* the encoder takes them as they are, and gives float32 */",
    ]
    if isinstance(taken, SeriesInput):
        lines += [f"#define EM_INPUT_STEPS {taken.shape[0]} /* rows of a series, in time */"]
        lines += [f"#define EM_INPUT_CHANNELS {taken.shape[1]} /* {', '.join(taken.channels)} */"]
    return lines


def _limits(rejection: Rejection | None) -> list[str]:
    if rejection is None:
        return ["#define EM_REJECTS 0 /* not calibrated: every query is known */", "#define EM_PRIOR_LABELS_KNOWN 0"]
    lines = ["#define EM_REJECTS 1"]
    for name, shots in zip(("FEW", "MORE"), rejection.shots, strict=True):
        # A label whose scatter is as usual has the limit of the table itself.
        scatter = rejection.spread * (shots - 1)
        numbers = [
            rejection.limits(np.full(labels, shots, np.int64), np.full(labels, scatter))[0]
            for labels in range(1, MOST_CLASSES + 1)
        ]
        for first, last in pairwise((0, 16, 32, MOST_CLASSES)):  # a program takes as many as it has classes
            lines.append(f"#define EM_FAR_{name}_{last} {', '.join(map(_literal, numbers[first:last]))}")
        lines.append(f"#define EM_SHOTS_{name} {shots}.0f")
    lines.append(
        f"#define EM_SPREAD {_literal(rejection.spread)} /* mean squared distance of examples to their class's mean */"
    )
    quantile = _literal(normal_quantile(rejection.false_accept))
    lines.append(f"#define EM_RATE_NORMAL ({quantile}) /* the normal quantile of the false-accept rate */")
    known = rejection.prior_labels is not None
    lines.append(f"#define EM_PRIOR_LABELS_KNOWN {int(known)} /* whether the store's own shots correct the limits */")
    if rejection.prior_labels is not None:
        lines.append(f"#define EM_PRIOR_LABELS {_literal(rejection.prior_labels)}")
    return lines


def _literal(value: float) -> str:
    """A C literal of a float; nine digits reproduce a float32 exactly."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
