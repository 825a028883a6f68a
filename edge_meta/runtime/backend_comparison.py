"""What could run a bundle on this machine, what does, and whether all that could give the same embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import BACKENDS
from edge_meta.errors import BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.classifier import open_encoder
from edge_meta.runtime.graph_check import output_step
from edge_meta.runtime.interpreter import Encoder

IMAGES = 16
DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite": "tflite-runtime", "tensorflow": "tensorflow"}
# Of a CPU's features, as Linux names them, those that decide how fast int8 and float kernels are.
FEATURES = {
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "asimd", "asimddp", "asimdhp", "i8mm", "sve", "rvv"),
}


@dataclass(frozen=True)
class Availability:
    """A backend: its version, None if it is not installed; whether it can be used; and why it is taken or not."""

    backend: str
    version: str | None
    usable: bool
    reason: str


@dataclass(frozen=True)
class Run:
    """How the encoder embeds a fixed pseudo-random set of images, one way of running it, against the first run.

    Attributes:
        xnnpack: whether XNNPACK runs some of its operators; it does not know all kinds, and not every build has them.
        difference: the largest, in the embedding's own unit; None if there was a refusal.
        steps: the same in quantization steps of the embedding, and
        within_step: the fraction of values that lie at most one step apart; both None where the step is not known.
        refusal: why there is no embedding to compare.
    """

    backend: str
    xnnpack: bool
    delegate: str | None = None
    difference: float | None = None
    steps: float | None = None
    within_step: float | None = None
    refusal: str | None = None


def availability(chosen: str | None = None) -> list[Availability]:
    """All backends, in the order in which they are tried; `chosen` is the one that was asked for."""
    found, taken = [], None
    for name in BACKENDS:
        try:
            version: str | None = metadata.version(DISTRIBUTIONS[name])
        except metadata.PackageNotFoundError:
            version = None
        try:
            backend_module(name)
        except ImportError as error:
            found.append(Availability(name, version, False, f"cannot be used: {error}"))
            continue
        if taken is None and chosen in (None, name):
            taken = name
            reason = "asked for" if chosen else "the first that can be used"
        else:
            reason = f"{chosen} was asked for" if chosen else f"{taken} comes first"
        found.append(Availability(name, version, True, reason))
    return found


def runs(bundle: Bundle, options: RuntimeOptions = DEFAULT) -> list[Run]:
    """Embed the same images in every backend that can be used, without and with XNNPACK, and with the options' delegate.

    Two libraries of int8 kernels may round an operator's result to neighbouring steps, and the operators after it carry that
    on. So an embedding's values may differ by more than one step, but seldom do.

    Raises:
        BackendError: the delegate failed.
    """
    usable = [backend.backend for backend in availability() if backend.usable]
    ways = [RuntimeOptions(backend, options.threads, xnnpack) for backend in usable for xnnpack in (False, True)]
    if options.delegate is not None:
        ways.append(options)
    step = output_step(bundle.model)
    found: list[Run] = []
    first: NDArray[np.float32] | None = None
    for way in ways:
        try:
            encoder = open_encoder(bundle, way)
        except BundleError as error:
            found.append(Run(str(way.backend), way.xnnpack, refusal=error.cause))
            continue
        xnnpack, delegate = uses_xnnpack(bundle, encoder), encoder.options.delegate
        if way.xnnpack and not xnnpack and delegate is None:
            continue  # nothing but the run before once more
        embeddings = _embeddings(bundle, encoder)
        run = Run(encoder.backend, xnnpack, None if delegate is None else str(delegate))
        if not np.isfinite(embeddings).all():
            found.append(replace(run, refusal="Its embeddings are not finite."))
            continue
        first = embeddings if first is None else first
        apart = np.abs(embeddings - first)
        run = replace(run, difference=float(apart.max()))
        if step is not None:
            steps = np.rint(apart / step)  # float32 rounds the multiples of a step
            run = replace(run, steps=float(steps.max()), within_step=float((steps <= 1).mean()))
        found.append(run)
    return found


def uses_xnnpack(bundle: Bundle, encoder: Encoder) -> bool:
    """Whether XNNPACK runs some of an encoder's operators: it has more parts in a delegate's hands than without."""
    if not encoder.options.xnnpack:
        return False
    without = open_encoder(bundle, replace(encoder.options, xnnpack=False))
    return _delegated(encoder) > _delegated(without)


def cpu_features() -> list[str]:
    """Those of `FEATURES` that this machine's CPU has; none where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    told = next((line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features", "isa"))), "")
    return sorted(FEATURES & set(told.split()))


def _embeddings(bundle: Bundle, encoder: Encoder) -> NDArray[np.float32]:
    rng, input_spec = np.random.default_rng(0), bundle.manifest.input_spec
    images = (rng.integers(0, 256, input_spec.shape, np.uint8) for _ in range(IMAGES))
    return np.stack([encoder.embed(input_spec.normalize(image)[None]) for image in images])


def _delegated(encoder: Encoder) -> int:
    operators: list[dict[str, Any]] = encoder.interpreter._get_ops_details()
    return sum(operator["op_name"] == "DELEGATE" for operator in operators)
