"""Compare the embeddings of a finished file with those of the model that was handed in, on the same examples.

A converter that writes another network than it was given says nothing. So both are run, and the difference is measured
against what tells examples apart: noise = √(Σ‖f(x) − g(x)‖² / Σ‖f(x) − mean f‖²), with f the source and g the file. A file
that gives the same embedding for all has a noise of 1 or more, however high the cosine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_meta.errors import ExportError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput, InputSpec
from edge_meta.types import Array, Array64

LEAST_VARIATION = 1e-5  # of float32: less is rounding
EXAMPLES = 64


def varied_examples(input_spec: InputSpec, ids: int = 2, count: int = EXAMPLES) -> Any:
    """Draw examples (count, ...) that differ in more than noise, as `InputSpec.read` gives them.

    Networks average white noise away. Images are grids of colours of different coarseness and contrast, recordings are
    tones of different pitch and loudness.

    Args:
        ids: of integers: they are below this, where a table has so many rows.
    """
    rng = np.random.default_rng(0)
    if isinstance(input_spec, ImageInput):
        return np.stack([_grid(input_spec, rng) for _ in range(count)])
    if isinstance(input_spec, AudioInput):
        times = np.arange(input_spec.samples) / input_spec.sample_rate
        pitch, loudness = np.exp(rng.uniform(np.log(80), np.log(3000), count)), rng.uniform(0.05, 0.5, count)
        noise = 0.01 * rng.normal(size=(count, input_spec.samples))
        tones = np.sin(2 * np.pi * pitch[:, None] * times) + noise
        return (32767 * loudness[:, None] * tones).clip(-32768, 32767).astype(np.int16)
    drawn = input_spec.synthetic(rng, count)
    if isinstance(input_spec, ArrayInput) and input_spec.dtype == "float32":
        drawn = (drawn * rng.uniform(0.2, 2.0, (count, *[1] * (drawn.ndim - 1)))).astype(np.float32)
    elif isinstance(input_spec, ArrayInput):
        drawn = rng.integers(1, max(ids, 2), drawn.shape).astype(input_spec.dtype) if ids > 2 else drawn
    return drawn


def agreement(source: Array, found: Array) -> dict[str, Any]:
    """Compare embeddings (n, D) of the same examples.

    Returns:
        `examples`: n; `noise`: see above; `cosine`: percentiles of the cosine of an example's two embeddings, centred by
        the source's mean.
    """
    f, g = source.astype(np.float64), found.astype(np.float64)
    mean = f.mean(axis=0)
    varied = ((f - mean) ** 2).sum()
    noise = float(np.sqrt(((f - g) ** 2).sum() / max(varied, np.finfo(np.float64).tiny)))
    a, b = f - mean, g - mean
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.einsum("nd,nd->n", a, b) / np.maximum(norms, np.finfo(np.float32).tiny)
    return {
        "examples": len(f),
        "noise": float(f"{noise:.3g}"),
        "cosine": {f"p{percent}": round(float(np.percentile(cosine, percent)), 6) for percent in (0, 1, 10, 50)},
    }


def require_agreement(source: Array, found: Array, most: float, name: str, noun: str) -> dict[str, Any]:
    """The report of `agreement`, if the file does what its source does.

    Args:
        source, found: embeddings (n, D) of the same examples, by the source and by the finished file.
        most: the largest noise that is explained; see `noise_bound`.
        name: of the source, for messages.
        noun: of an example.

    Raises:
        ExportError: the file's embeddings differ by more, or either's are not finite or do not vary over the examples.
    """
    _require_variation(source, name, noun)
    _require_finite(found, "The converted file", noun)
    report = agreement(source, found)
    if not report["noise"] <= most:
        same = " (it gives nearly one embedding for all)" if variation(found) < LEAST_VARIATION else ""
        raise ExportError(
            f"The converted file does not compute what {name} does{same}: over {report['examples']} {noun}s its embeddings "
            f"differ by {report['noise']:.2g} of what tells them apart, and at most {most:.2g} is explained.",
            "Choose another --output-tensor, such as one before the layer that is converted wrongly, or another --quantize.",
        )
    _require_variation(found, "The converted file", noun)
    return report


def _require_variation(embeddings: Array, name: str, noun: str) -> None:
    _require_finite(embeddings, name, noun)
    if variation(embeddings) < LEAST_VARIATION:
        raise ExportError(f"{name} gives the same embedding for every {noun}.", "Choose another --output-tensor.")


def _require_finite(embeddings: Array, name: str, noun: str) -> None:
    if not np.isfinite(embeddings).all():
        count = int((~np.isfinite(embeddings).all(axis=1)).sum())
        raise ExportError(
            f"{name} gives values that are not finite for {count} of {len(embeddings)} {noun}s.",
            "Check --mean and --scale, or get the model again.",
        )


def variation(embeddings: Array) -> float:
    """The spread of embeddings around their mean, as a share of their length."""
    values = embeddings.astype(np.float64)
    spread = ((values - values.mean(axis=0)) ** 2).sum()
    return float(np.sqrt(spread / max((values**2).sum(), np.finfo(np.float64).tiny)))


def _grid(input_spec: ImageInput, rng: np.random.Generator) -> Array64:
    height, width, channels = input_spec.shape
    rows, columns = (int(rng.integers(1, min(side, 9) + 1)) for side in (height, width))
    contrast, brightness = rng.uniform(0.2, 1.0), rng.uniform(0.2, 0.8)
    cells = brightness + contrast * (rng.random((rows, columns, channels)) - 0.5)
    coarse = cells[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
    pixels: Array64 = (255 * (coarse + 0.03 * rng.normal(size=coarse.shape))).clip(0, 255).astype(np.uint8)
    return pixels
