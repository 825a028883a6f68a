"""Time the web page beside Python, in turn: milliseconds of an embedding, and until the page is ready; bytes that it loads.

    npm install --prefix DIR --ignore-scripts @litertjs/core@2.5.3 esbuild-wasm@0.28.2 playwright-core@1.65.1 axe-core@4.14.1
    python benchmarks/page_speed.py DIR [BUNDLE...]

Each round visits the page twice in a new browser (Debian's `chromium`), which times the encoder itself, and then times
Python on one thread, with an example of the encoder's own size; then both with a frame as the page's camera gives it, which
they resize, the page where the encoder is fastest. Figures are medians over rounds; a ratio is the median of the rounds'
ratios.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from converters.targets import export_target
from converters.targets.web.litert_js import LiteRtJs
from converters.targets.web.server import Server
from edge_meta import Classifier
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import MODEL, Bundle

SCRIPT = Path(__file__).with_suffix(".mjs")
SHIPPED = ("omniglot", "objects", "keywords", "gestures")
RUNS = 30  # of an encoder in a round
SIDE = 480  # pixels of a camera's frame, cut to a square


def visit(site: Bundle, library: Path, folder: Path, frame: bool) -> dict[str, Any]:
    """Visit a site in a new browser; returns what the script prints."""
    with Server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = {
            "address": server.address, "chromium": shutil.which("chromium"), "node_modules": str(library / "node_modules"),
            "frame": {"side": SIDE, "runs": RUNS} if frame else None,
        }  # fmt: skip
        (folder / "asked.json").write_text(json.dumps(asked))
        command = ["node", str(SCRIPT), "visit", str(folder / "asked.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        server.shutdown()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_python(classifier: Classifier, example: NDArray[Any]) -> float:
    """Milliseconds of an example's embedding on one thread, the median of `RUNS`."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        classifier.embed(example)
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def bytes_of(site: Path, names: list[str]) -> tuple[int, int]:
    """Bytes of what a visit loads without the runtime's WebAssembly and the encoder; as they are, and as they are sent."""
    loaded = [site / name for name in names if (site / name).is_file() and not name.endswith((".wasm", MODEL))]
    sent = [packed if (packed := path.with_name(f"{path.name}.gz")).is_file() else path for path in loaded]
    return sum(path.stat().st_size for path in loaded), sum(path.stat().st_size for path in sent)


def times(visits: list[dict[str, Any]], several: bool) -> list[float]:
    """Milliseconds of the encoder in WebAssembly at each visit, on one thread or on several; none where it has but one."""
    return [
        place["milliseconds"]
        for each in visits
        for place in each["measured"]
        if place["place"]["accelerator"] == "wasm" and (place["place"]["threads"] > 1) is several
    ]


@click.command()
@click.argument("library", type=click.Path(exists=True, path_type=Path))
@click.argument("bundles", nargs=-1)
@click.option("--rounds", default=7, show_default=True)
def main(library: Path, bundles: tuple[str, ...], rounds: int) -> None:
    """Print a line for each bundle."""
    for name in bundles or SHIPPED:
        with tempfile.TemporaryDirectory() as scratch, Classifier.load(name, Path(scratch) / "store.db") as classifier:
            site = export_target(classifier.bundle, Path(scratch) / "site", "web", litert_js=LiteRtJs(library))
            spec = classifier.bundle.manifest.input_spec
            rng = np.random.default_rng(0)
            example = spec.synthetic(rng, 1)[0]
            frame = rng.integers(0, 256, (SIDE, SIDE, spec.channels), np.uint8) if isinstance(spec, ImageInput) else None
            visits, python, of_frame = [], [], []
            for _ in range(rounds):
                visits.append(visit(site, library.resolve(), Path(scratch), frame is not None))
                python.append(in_python(classifier, example))
                if frame is not None:
                    of_frame.append(in_python(classifier, frame))
            size, sent = bytes_of(site.path, visits[0]["loaded"])
        if problems := [problem for each in visits for problem in each["problems"]]:
            raise click.ClickException(f"The page of {name} reports: {problems[0]}")
        plain, threaded = times(visits, several=False), times(visits, several=True)
        ratio = median(page / own for page, own in zip(plain, python, strict=True))
        print(f"{name}: page {median(plain):.2f} ms, Python {median(python):.2f} ms, ratio {ratio:.1f}")
        if threaded:
            ratio = median(page / own for page, own in zip(threaded, python, strict=True))
            print(f"  several threads: page {median(threaded):.2f} ms, ratio {ratio:.1f}")
        if of_frame:
            frames = [each["frame"] for each in visits]
            ratio = median(page / own for page, own in zip(frames, of_frame, strict=True))
            print(f"  a frame: page {median(frames):.2f} ms, Python {median(of_frame):.2f} ms, ratio {ratio:.1f}")
        first, second = (median(each[visited] for each in visits) for visited in ("first", "second"))
        print(f"  ready after {first:.0f} ms, then {second:.0f} ms; loads {size:,} bytes, sent as {sent:,}")


if __name__ == "__main__":
    main()
