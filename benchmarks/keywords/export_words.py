"""Export the `keywords` encoder that `train_words.py` wrote.

    PYTHONPATH=benchmarks python benchmarks/keywords/export_words.py keywords.npz run --output keywords.bundle

The limits of unknown are fitted to the words of val and to words made of them, backwards and of two halves.
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from collect_words import RATE, SEED, Recording, derived
from two_parts import export_two_parts

from converters import ModelOptions
from edge_meta.training.log_mel import LogMel

ABOUT = (
    "Trained on Arabic Speech Commands (Ghandoura 2021, CC BY 4.0), the Free Spoken Digits (Jackson, CC BY-SA 4.0), and "
    "words spoken by espeak-ng and flite, none of which is in the file; taught by Google's speech_embedding (Apache-2.0). "
    "Words and speakers were held back: see docs/words.md."
)
RANGES = 300  # recordings that int8 is fitted to


@click.command()
@click.argument("recordings", metavar="NPZ")
@click.argument("run", metavar="FOLDER")
@click.option("--output", required=True, metavar="BUNDLE")
def main(recordings: str, run: str, output: str) -> None:
    """Write the bundle."""
    data = dict(np.load(recordings))
    generator = np.random.default_rng(SEED)
    train = generator.permutation(np.flatnonzero(data["split"] == "train"))[:RANGES]
    ranges = data["x"][train].astype(np.float32) / 32768
    columns = [data[name][data["split"] == "val"] for name in ("x", "word", "speaker", "split")]
    spoken = [Recording(*row) for row in zip(*columns, strict=True)]
    new = [*spoken, *derived(spoken, generator)]
    calibration = np.stack([one.samples for one in new]), np.array([one.word for one in new])
    network = keras.saving.load_model(Path(run) / "network.keras")
    options = ModelOptions(input_kind="audio", sample_rate=RATE, mean=(0.0,), scale=(1.0,), about=ABOUT)
    bundle = export_two_parts(LogMel(), network, ranges, calibration, options, Path(output))
    print(f"{output}: {len(bundle.model):,} bytes, limits from {len(set(calibration[1]))} words")


if __name__ == "__main__":
    main()
