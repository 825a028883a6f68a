"""The encoders that edge-meta compare judges: of runs, by Keras, and of bundles, as a device runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.training_splits import load_validation
from edge_meta.inputs import InputSpec, input_from_manifest
from edge_meta.types import Array


def asked_of(source: str) -> dict[str, Any]:
    """Return the settings that a run was asked for; none of a bundle.

    Raises:
        TrainingError: the run is damaged.
    """
    if not _is_run(source):
        return {}
    from edge_meta.training.run import RunFolder

    asked: dict[str, Any] = RunFolder(source).facts()["asked"]
    return asked


def embed_by(source: str, dataset: str, split: str, held_back: bool) -> tuple[Dataset, Array]:
    """Load a dataset as an encoder takes it, and embed it.

    Args:
        source: the folder of a run; or a bundle, by its path or the name of a shipped one.
        held_back: take the examples that a run with `--split all` held back, in place of the split.

    Raises:
        EdgeMetaError: the encoder or the data cannot be read.
    """

    def load(spec: InputSpec) -> Dataset:
        return load_validation(dataset, "all", spec) if held_back else load_dataset(dataset, split, spec)

    if _is_run(source):
        from edge_meta.training.embeddings import embed_images
        from edge_meta.training.run import RunFolder

        run = RunFolder(source)
        spec = input_from_manifest(run.facts()["made"]["input"])
        data = load(spec)
        return data, embed_images(run.load_encoder(), spec, data.examples)
    from edge_meta.runtime.bundle import Bundle
    from edge_meta.runtime.embedding import embed_all
    from edge_meta.runtime.interpreter import open_encoder

    bundle = Bundle.open(source)
    data = load(bundle.manifest.input_spec)
    return data, embed_all(open_encoder(bundle), bundle.manifest.input_spec, data.examples)


def _is_run(source: str) -> bool:
    return (Path(source) / "run.json").is_file()
