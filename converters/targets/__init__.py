"""Make bundles for targets other than LiteRT: a finished bundle's encoder in the form that the target takes.

All targets of one bundle have its encoder id, so one device can use what another has enrolled.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from converters.bundle_writer import check_output, is_finished, write
from converters.external.prepare import Source, name_of
from converters.model_card import model_card
from converters.options import ExportOptions
from converters.targets import edgetpu, ethos_u, phone_npu, tflm, web
from converters.targets.base import normalized_in_file
from converters.targets.imprint import imprint
from converters.targets.web.litert_js import LiteRtJs
from converters.tflite.model import parse
from converters.tflite.state import has_state
from edge_meta.choices import ETHOS_U
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import MANIFEST, MODEL, MODEL_CARD, SEED, Bundle

__all__ = ["TARGETS", "export_target", "imprint", "opened"]

TARGETS = {"tflm": tflm.make, "web": web.make, "edgetpu": edgetpu.make, "ethos-u": ethos_u.make, "npu": phone_npu.make}


def export_target(
    bundle: Bundle,
    output: str | Path,
    target: str,
    overwrite: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    litert_js: LiteRtJs | None = None,
    ethos_u_config: str = ETHOS_U[0],
    soc: str | None = None,
) -> Bundle:
    """Make a bundle for a target from a finished bundle.

    Args:
        bundle: one for LiteRT.
        output: the new bundle's folder; a name that ends in .zip makes one archive.
        target: one of `TARGETS`.
        overwrite: replace a bundle that is at `output`.
        litert_js: where LiteRT.js is taken from, for the target web.
        ethos_u_config: one of `choices.ETHOS_U`, for the target ethos-u.
        soc: a chip's name, for the target npu; see `phone_npu.chips`.

    Raises:
        ExportError: the target does not take this encoder, or `output` is taken; nothing is written.
        BackendError: the package that checks or compiles for the target is not installed.
    """
    output = Path(output)
    if target not in TARGETS:
        raise ExportError(f"There is no target {target!r}.", f"Use one of {', '.join(TARGETS)}.")
    check_output(output, overwrite)
    if bundle.manifest.target:
        raise ExportError(f"{bundle.path} is made for {bundle.manifest.target['name']}.", "Name the bundle it came from.")
    if has_state(parse(bundle.model)):
        raise ExportError(
            f"{bundle.path} has recurrent layers that keep their state, which {target} does not reset before each example.",
            "Use the bundle itself, or convert the model with its recurrent layers unrolled.",
        )
    if target == "web":
        bundle = normalized_in_file(bundle)
        made = web.make(bundle, on_note, litert_js)
    elif target == "ethos-u":
        made = ethos_u.make(bundle, on_note, ethos_u_config)
    elif target == "npu":
        made = phone_npu.make(bundle, on_note, soc)
    else:
        made = TARGETS[target](bundle, on_note)
    card = model_card(bundle.name, bundle.manifest, len(made.files[MODEL])) + "\n" + made.usage
    files = {**made.files, MODEL_CARD: card.encode(), **({SEED: bundle.seed} if bundle.seed else {})}
    files |= {record.file: bundle.maps[record.encoder_id].to_bytes() for record in bundle.manifest.embedding_maps}
    signatures = bundle.manifest.signatures
    if made.files[MODEL] != bundle.model:
        signatures = {name: ends for name, ends in signatures.items() if name == "embed"}
    manifest = replace(
        bundle.manifest,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        signatures=signatures,
        normalization=made.normalization or bundle.manifest.normalization,
        target={"name": target, **made.facts},
    )
    write(output, {MANIFEST: manifest.to_json().encode(), **files})
    return Bundle.open(output)


@contextmanager
def opened(source: Source, options: ExportOptions, on_note: Callable[[str], None] = lambda note: None) -> Iterator[Bundle]:
    """Open a bundle by its path or shipped name, or export one to a temporary folder."""
    if isinstance(source, (str, Path)) and is_finished(source):
        yield Bundle.open(source)
        return
    from converters.pipeline import export_bundle  # not before it is needed: it imports TensorFlow

    with tempfile.TemporaryDirectory() as scratch:
        yield export_bundle(source, Path(scratch) / f"{name_of(source)}.bundle", options, on_note)
