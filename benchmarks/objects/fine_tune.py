"""Fine-tune the `objects` encoder on groceries, and judge it next to the one it started from.

    python benchmarks/objects/fine_tune.py --output tuned

The encoder learns by prototypical networks, at a small learning rate, from the training classes of groceries, as
`collect.py` deals them out; `edge-meta train --start` does the same with a folder of your own. Validation classes choose
among its checkpoints, so only test classes judge it. Caltech's rows say what it has lost for other things.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from collect import SIZE, SOURCES, photos_of
from judge import Protocol, judge, line

from converters import export_bundle
from edge_meta.cli.progress import TrainingProgress
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train

START = Path(__file__).parent  # run.json and encoder.keras
WAY, SHOT, QUERY = 10, 3, 3


def collect_groceries(path: Path) -> None:
    """Write the photos of the training and validation classes to an .npz: x, y and split."""
    spec = ImageInput.for_shape((SIZE, SIZE, 3))
    read = [
        (spec.read(pixels), label, split)
        for split in ("train", "val")
        for label, pixels in photos_of(SOURCES["groceries"], split)
    ]
    x, y, splits = zip(*read, strict=True)
    np.savez(path, x=np.stack(x), y=np.array(y), split=np.array(splits))


def fine_tune(folder: Path, episodes: int, learning_rate: float) -> Bundle:
    """Train into FOLDER/run, and export FOLDER/groceries.bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    collect_groceries(folder / "groceries.npz")
    config = TrainingConfig(
        dataset=f"npz:{folder / 'groceries.npz'}", encoder="photo12", image_size=SIZE, rgb=True, start=str(START),
        way=WAY, shot=SHOT, query=QUERY, episodes=episodes, learning_rate=learning_rate, augment=True,
    )  # fmt: skip
    run = train(config, folder / "run", on_progress=TrainingProgress())
    return export_bundle(run.path, folder / "groceries.bundle")


@click.command()
@click.option("--output", required=True, metavar="FOLDER", help="For the photos, the run and the bundle.")
@click.option("--episodes", default=250, show_default=True)
@click.option("--learning-rate", default=3e-5, show_default=True)
def main(output: str, episodes: int, learning_rate: float) -> None:
    """Fine-tune, and judge both on the test classes."""
    tuned = fine_tune(Path(output), episodes, learning_rate)
    for bundle in (Bundle.open("objects"), tuned):
        print(f"{bundle.name}: {len(bundle.model):,} bytes")
        for row in judge(bundle, "test", Protocol()):
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
