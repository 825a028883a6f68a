"""The native example, in C with LiteRT's C API alone, answers as Python does."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from support.device import Pixels, draw, noise
from support.litert_c import WHY_NOT, compile_with_litert

from edge_meta import Classifier
from edge_meta.runtime.bundle import Bundle

EXAMPLE = Path(__file__).parents[2] / "examples" / "native"
BUNDLES = Path(str(files("edge_meta"))) / "bundles"

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@dataclass(frozen=True)
class Answer:
    """A line of the example's output."""

    label: str | None
    nearest: str
    distance: float
    limit: float


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_with_litert(sorted(EXAMPLE.glob("*.c")), tmp_path_factory.mktemp("native"))


def pgm(path: Path, pixels: Pixels) -> Path:
    """Save gray pixels (height, width) as a binary PGM file."""
    path.write_bytes(b"P5\n%d %d\n255\n" % pixels.shape[::-1] + pixels.tobytes())
    return path


def ran(program: Path, bundle: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [program, bundle, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def answers(program: Path, folder: Path, shots: dict[str, list[Pixels]], queries: list[Pixels]) -> list[Answer]:
    """The example's answers with the shipped bundle for letters."""
    named = [(label, shot) for label, drawn in shots.items() for shot in drawn]
    enrolled = [f"{label}={pgm(folder / f'shot{at}.pgm', shot)}" for at, (label, shot) in enumerate(named)]
    asked = [pgm(folder / f"query{at}.pgm", query) for at, query in enumerate(queries)]
    done = ran(program, BUNDLES / "omniglot.bundle", *enrolled, *asked)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    return [Answer(None if line[0] == "?" else line[0], line[1], float(line[2]), float(line[3])) for line in lines]


def check_against_python(folder: Path, shots: dict[str, list[Pixels]], queries: list[Pixels], found: list[Answer]) -> None:
    """Fail where an answer is not Python's, or a limit lies on the wrong side of Python's distance."""
    with Classifier.load("omniglot", store=folder / "store.db") as classifier:
        for label, drawn in shots.items():
            classifier.enroll(label, np.stack(drawn))
        results = [classifier.classify(query) for query in queries]
    assert [answer.label for answer in found] == [result.best.label for result in results]
    assert [answer.nearest for answer in found] == [result.top[0].label for result in results]
    np.testing.assert_allclose(
        [answer.distance for answer in found], [result.top[0].distance for result in results], atol=1e-4
    )


@pytest.mark.parametrize("labels", [1, 3, 7])
@pytest.mark.parametrize("shots", [1, 4])
def test_native_answers_are_those_of_python(program: Path, tmp_path: Path, labels: int, shots: int) -> None:
    enrolled = {f"label{kind}": [draw(kind, take) for take in range(shots)] for kind in range(labels)}
    strangers = [noise(28, 28)[..., 0], draw(5, 0)[:, ::-1] // 2, *(draw(kind, 9) for kind in range(labels, 24))]
    queries = [*(draw(kind, 9) for kind in range(labels)), *strangers]
    found = answers(program, tmp_path, enrolled, queries)
    assert {answer.label for answer in found} >= {None, "label0"}
    check_against_python(tmp_path, enrolled, queries, found)


def test_native_images_of_any_size_are_resized(program: Path, tmp_path: Path) -> None:
    sizes = [(28, 28), (105, 105), (20, 61), (300, 97)]
    enrolled = {f"label{kind}": [draw(kind, 0, 105, 105)] for kind in range(3)}
    queries = [draw(kind, 9, *size) for kind in range(3) for size in sizes]
    check_against_python(tmp_path, enrolled, queries, answers(program, tmp_path, enrolled, queries))


def test_native_limits_are_those_of_the_manifest(program: Path, tmp_path: Path) -> None:
    enrolled = {f"label{kind}": [draw(kind, take) for take in range(kind + 1)] for kind in range(4)}
    found = answers(program, tmp_path, enrolled, [draw(kind, 9) for kind in range(4)])
    rejection = Bundle.open(BUNDLES / "omniglot.bundle").manifest.rejection
    assert rejection is not None
    scatters = []
    with Classifier.load("omniglot", store=tmp_path / "store.db") as classifier:
        for drawn in enrolled.values():
            embeddings = np.stack([classifier.embed(image) for image in drawn]).astype(np.float64)
            scatters.append(float(((embeddings - embeddings.mean(axis=0)) ** 2).sum()))
    limits = dict(zip(enrolled, rejection.limits(np.array([1, 2, 3, 4]), np.array(scatters)), strict=True))
    np.testing.assert_allclose([answer.limit for answer in found], [limits[answer.nearest] for answer in found], atol=1e-4)


def test_native_example_refuses_a_bundle_corrected_by_its_store(program: Path) -> None:
    done = ran(program, BUNDLES / "objects.bundle", "a=a.ppm")
    assert done.returncode == 1
    assert "prior_labels: Its limits are corrected by the store" in done.stderr


@pytest.mark.parametrize(
    "content", [b"", b"P5\n28 28\n255\n" + bytes(700), b"P5\n0 28\n255\n", b"P6\n28 28\n255\n" + bytes(2352)]
)
def test_native_example_refuses_a_damaged_image(program: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pgm").write_bytes(content)
    done = ran(program, BUNDLES / "omniglot.bundle", f"a={tmp_path / 'a.pgm'}")
    assert done.returncode == 1
    assert "a.pgm: " in done.stderr
