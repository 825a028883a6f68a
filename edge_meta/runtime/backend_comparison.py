"""Compare the backends on this machine: which are installed, which one runs a bundle, and whether their embeddings agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import BACKENDS
from edge_meta.errors import BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, backend_module
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.graph_check import output_step
from edge_meta.runtime.interpreter import Encoder, open_encoder

EXAMPLES = 16
DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite": "tflite-runtime", "tensorflow": "tensorflow"}
# The CPU features, by their names on Linux, that decide how fast int8 and float kernels are.
FEATURES = {
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "asimd", "asimddp", "asimdhp", "i8mm", "sve", "rvv"),
}


@dataclass(frozen=True)
class Availability:
    """A backend, its version (None if it is not installed), whether it can be used, and why it is taken or not."""

    backend: str
    version: str | None
    usable: bool
    reason: str


@dataclass(frozen=True)
class BackendRun:
    """The embeddings of fixed pseudo-random examples in one backend, compared with those of the first run.

    Attributes:
        xnnpack: whether XNNPACK runs some of the operators; it does not know all kinds, and not every build has them.
        accelerator: if CompiledModel ran it.
        difference: the largest difference, in the embedding's own unit; None if there was a refusal.
        steps: the largest difference in quantization steps of the embedding; None if the step is not known.
        within_step: the fraction of values at most one step apart; None if the step is not known.
        refusal: why there is no embedding to compare.
    """

    backend: str
    xnnpack: bool
    delegate: str | None = None
    accelerator: str | None = None
    difference: float | None = None
    steps: float | None = None
    within_step: float | None = None
    refusal: str | None = None


def availability(chosen: str | None = None) -> list[Availability]:
    """List all backends in the order in which they are tried; `chosen` is the one that was asked for."""
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


def compare_backends(bundle: Bundle, options: RuntimeOptions = DEFAULT) -> list[BackendRun]:
    """Embed the same examples in every backend that can be used, without and with XNNPACK, and with the options' delegate or
    accelerator.

    Two libraries of int8 kernels may round an operator's result to neighbouring steps, and later operators pass the
    difference on. So values of an embedding may differ by more than one step, but seldom do.

    Raises:
        BackendError: the delegate or the accelerator failed.
    """
    usable = [backend.backend for backend in availability() if backend.usable]
    choices = [RuntimeOptions(backend, options.threads, xnnpack) for backend in usable for xnnpack in (False, True)]
    if options.delegate is not None or options.accelerator is not None:
        choices.append(options)
    step = output_step(bundle.model)
    found: list[BackendRun] = []
    first: NDArray[np.float32] | None = None
    for choice in choices:
        try:
            encoder = open_encoder(bundle, choice)
        except BundleError as error:
            found.append(BackendRun(str(choice.backend), choice.xnnpack, refusal=error.cause))
            continue
        xnnpack, delegate = uses_xnnpack(bundle, encoder), encoder.options.delegate
        if choice.xnnpack and not xnnpack and delegate is None and choice.accelerator is None:
            continue  # the same as the run before
        embeddings = synthetic_embeddings(bundle, encoder)
        run = BackendRun(encoder.backend, xnnpack, None if delegate is None else str(delegate), encoder.options.accelerator)
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
    """True if XNNPACK runs some of an encoder's operators, so that more are delegated than without it.

    False with an accelerator, where LiteRT does not tell.
    """
    if not encoder.options.xnnpack or encoder.placement is not None:
        return False
    without = open_encoder(bundle, replace(encoder.options, xnnpack=False))
    return encoder.operators().count("DELEGATE") > without.operators().count("DELEGATE")


def cpu_features() -> list[str]:
    """List those of `FEATURES` that this machine's CPU has; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    listed = next((line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features", "isa"))), "")
    return sorted(FEATURES & set(listed.split()))


def synthetic_embeddings(bundle: Bundle, encoder: Encoder) -> NDArray[np.float32]:
    """The embeddings (n, D) of n fixed pseudo-random examples."""
    input_spec = bundle.manifest.input_spec
    examples = input_spec.synthetic(np.random.default_rng(0), EXAMPLES)
    return np.stack([encoder.embed(input_spec.normalize(example)[None]) for example in examples])
