"""A device imports neither the packages nor the modules that only training needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.device import python

import edge_meta
from edge_meta.cli import VERBS

WORKSTATION = ["tensorflow", "keras", "matplotlib"]
OPTIONAL = [*WORKSTATION, "PIL", "click", "ai_edge_litert", "tflite_runtime"]


def imported(tmp_path: Path, statement: str, packages: list[str]) -> set[str]:
    """List those of the packages that a statement imports in a new interpreter."""
    done = python(tmp_path, "-c", f"import sys\n{statement}\nprint(*sys.modules.keys() & {packages!r})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


DEVICE = sorted({*edge_meta.__all__} - {"TrainingConfig", "export_bundle", "train"})


def test_importing_the_package_loads_no_room(tmp_path: Path) -> None:
    done = python(tmp_path, "-c", "import sys, edge_meta\nprint(*(name for name in sys.modules if 'edge_meta' in name))")
    assert done.stdout.split() == ["edge_meta"]


@pytest.mark.parametrize("name", DEVICE)
def test_a_devices_name_resolves_without_tensorflow(tmp_path: Path, name: str) -> None:
    statement = f"from edge_meta import {name}\nassert {name}.__name__ == {name!r}"
    assert imported(tmp_path, statement, OPTIONAL) == set()


@pytest.mark.parametrize("name", ["TrainingConfig", "export_bundle", "train"])
def test_a_workstations_name_says_what_to_install(tmp_path: Path, name: str) -> None:
    done = python(tmp_path, "-c", f"import sys\nsys.modules['tensorflow'] = None\nfrom edge_meta import {name}")
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("edge_meta.errors.BackendError: ")
    assert error.endswith('which is not installed. Run: pip install "edge-meta[train]"')


def test_dir_lists_every_exported_name() -> None:
    assert {*dir(edge_meta)} >= {*edge_meta.__all__, "__version__"}
    assert not hasattr(edge_meta, "nosuch")


@pytest.mark.parametrize(
    "statement",
    [
        "from edge_meta import Classifier",
        "import edge_meta.runtime.bundle, edge_meta.store.store",
        "import edge_meta.datasets.episodes, edge_meta.evaluation.accuracy, edge_meta.inputs.image_files, edge_meta.inputs",
    ],
)
def test_the_devices_side_imports_numpy_alone(tmp_path: Path, statement: str) -> None:
    assert imported(tmp_path, statement, [*OPTIONAL, "numpy"]) == {"numpy"}


@pytest.mark.parametrize("module", sorted(set(VERBS.values())))
def test_no_verbs_module_imports_tensorflow(tmp_path: Path, module: str) -> None:
    assert imported(tmp_path, f"import edge_meta.cli.{module}", [*WORKSTATION, "click"]) == {"click"}


def test_classifying_an_array_needs_no_pillow(tmp_path: Path) -> None:
    statement = (
        "import numpy as np, tempfile, os\n"
        "from edge_meta import Classifier\n"
        "clf = Classifier.load('omniglot', os.path.join(tempfile.mkdtemp(), 'store.db'))\n"
        "clf.enroll('ink', np.zeros((1, 40, 30), np.uint8))\n"
        "assert clf.classify(np.zeros((40, 30), np.uint8)).best.label == 'ink'"
    )
    assert imported(tmp_path, statement, ["PIL", "click", "keras", "matplotlib"]) == set()


def test_importing_waits_for_nothing_that_other_verbs_need(tmp_path: Path) -> None:
    """benchmarks/overhead.py measures how long the import takes."""
    heavy = ["tempfile", "subprocess", "multiprocessing", "urllib.request", "edge_meta.evaluation", "edge_meta.benchmarking"]
    heavy += ["edge_meta.datasets", "edge_meta.heads.adaptation", "edge_meta.store.merge", "edge_meta.store.archive"]
    by_numpy = imported(tmp_path, "import numpy", heavy)
    assert imported(tmp_path, "from edge_meta import Classifier", heavy) <= by_numpy


def test_importing_adds_fewer_modules_than_numpy_has(tmp_path: Path) -> None:
    counted = (
        "import sys\n"
        "before = len(sys.modules)\n"
        "import numpy\n"
        "between = len(sys.modules)\n"
        "from edge_meta import Classifier\n"
        "print(between - before, len(sys.modules) - between)"
    )
    of_numpy, ours = map(int, python(tmp_path, "-c", counted).stdout.split())
    assert ours < of_numpy
