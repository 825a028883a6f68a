"""The C library for boards against Python: the same prototypes, answers, limits and adapted heads."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.board import COMPILERS, ENCODER_ID, SANITIZERS, Driver, Said, bits, compiled, floats
from support.device import embeddings

from converters.targets.board_config import LIBRARY, config
from converters.targets.integer import End
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.adapted import adapt_head
from edge_meta.heads.rejection import Rejection
from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.limits import Limits, known_up_to
from edge_meta.runtime.manifest import Manifest
from edge_meta.store.store import Store
from edge_meta.types import Array

pytestmark = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
KINDS = {"int8": End(0.0234375, -7), "odd": End(0.03183, 5), "float32": None}
TABLES = (((3.0, 5.0, 9.0), (2.0, 4.0, 8.0)), ((2.0, 4.0, 7.0), (1.5, 3.0, 6.0)))
CALIBRATED = Rejection(0.05, (1, 10), (0.01, 0.05, 0.2), (1, 5), TABLES, 1.7)
DIM = 16


def vectors(classes: int, shots: int, seed: int = 0, spread: float = 0.4) -> Array:
    """Shots (classes, shots, D) around random centres."""
    return embeddings(seed, classes)[:, None] + spread * embeddings(seed + 1, classes * shots).reshape(classes, shots, DIM)


def enrolls(driver: Driver, shots: Array) -> list[str]:
    return [f"enroll {driver.hex(shot)} class {k}" for k, each in enumerate(shots) for shot in each]


def python_store(folder: Path, driver: Driver, shots: Array) -> Store:
    store = Store(folder / "same.db", ENCODER_ID, shots.shape[-1])
    for k, each in enumerate(shots):
        store.enroll(f"class {k}", driver.quantized(each))
    return store


def manifest(rejection: Rejection | None) -> Manifest:
    bundle = Bundle.open("omniglot").manifest
    return Manifest(ENCODER_ID, {}, bundle.input_spec, DIM, "int8", (0.1,), rejection=rejection)


@pytest.fixture(scope="module", params=KINDS)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The library with sanitizers, without limits."""
    return compiled(tmp_path_factory.mktemp("driver"), output=KINDS[request.param], flags=[*SANITIZERS, "-DEM_CLASSES=64"])


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "flags", [["-DEM_FLASH=0"], ["-DEM_ADAPT=0"], ["-DEM_FLASH=0", "-DEM_ADAPT=0"], ["-DEM_FLASH_UNIT=8"], ["-DEM_NONE=0"]]
)
def test_every_choice_compiles_without_a_warning(tmp_path: Path, compiler: str, flags: list[str]) -> None:
    answers, _, _ = compiled(tmp_path, compiler, flags=flags).run(["list", "undo"])
    assert [answer.status for answer in answers] == ["EM_OK", "EM_NOTHING_TO_UNDO"]


def test_prototypes_equal_pythons_bit_for_bit(driver: Driver, tmp_path: Path) -> None:
    shots = vectors(20, 5) * np.float32(10.0) ** np.arange(-12, 4, 0.8, np.float32)[:, None, None]
    answers, _, _ = driver.run([*enrolls(driver, shots), *(f"prototype {k + 1}" for k in range(20))])
    with python_store(tmp_path, driver, shots) as store:
        expected = store.snapshot().prototypes
    found = np.stack([floats(answer.lines[0][1:]) for answer in answers[-20:]])
    np.testing.assert_array_equal(found.view(np.uint32), (expected + 0.0).view(np.uint32))


def test_a_thousand_queries_get_pythons_answers(driver: Driver, tmp_path: Path) -> None:
    shots, queries = vectors(30, 3), vectors(30, 34, seed=0, spread=0.8).reshape(-1, DIM)[:1000]
    answers, _, _ = driver.run([*enrolls(driver, shots), *(f"classify {driver.hex(query)}" for query in queries)])
    with python_store(tmp_path, driver, shots) as store:
        head = ScoringHead(store.snapshot())
    for query, answer in zip(driver.quantized(queries), answers[-1000:], strict=True):
        expected = head.rank(query, 3)
        assert [int(line[1]) - 1 for line in answer.lines[1:]] == [each.label for each in expected]
        distances, scores = floats([line[2] for line in answer.lines[1:]]), floats([line[3] for line in answer.lines[1:]])
        np.testing.assert_allclose(distances, [each.distance for each in expected], atol=1e-4)
        np.testing.assert_allclose(scores, [each.score for each in expected], atol=1e-4)


@pytest.mark.parametrize("prior", [None, 0.5])
@pytest.mark.parametrize("spread", [0.2, 1.5])
def test_limits_of_known_equal_pythons(tmp_path: Path, prior: float | None, spread: float) -> None:
    rejection = Rejection(0.05, (1, 10), (0.01, 0.05, 0.2), (1, 5), TABLES, 1.7, prior)
    driver = compiled(tmp_path, output=End(0.0234375, -7), rejection=rejection, flags=["-DEM_CLASSES=40", "-DEM_SHOTS=9"])
    for classes, shots in ((1, 1), (2, 1), (2, 3), (5, 3), (9, 7), (40, 2)):
        each = vectors(classes, shots, seed=classes, spread=spread)
        answers, _, _ = driver.run([*enrolls(driver, each), "list"])
        folder = tmp_path / f"{classes}x{shots}"
        folder.mkdir()
        with python_store(folder, driver, each) as store:
            expected = known_up_to(store, ScoringHead(store.snapshot()), manifest(rejection), None)
        np.testing.assert_allclose(floats([line[3] for line in answers[-1].lines]), expected, rtol=2e-5)


def test_queries_beyond_the_limit_are_unknown(tmp_path: Path) -> None:
    driver = compiled(tmp_path, rejection=CALIBRATED)
    shots = vectors(3, 3)
    near, far = shots[1, 0], shots[1, 0] + 3.0
    answers, _, _ = driver.run([*enrolls(driver, shots), f"classify {driver.hex(near)}", f"classify {driver.hex(far)}"])
    assert [answer.lines[0] for answer in answers[-2:]] == [["known"], ["unknown"]]
    assert answers[-2].lines[1][4:] == ["class", "1"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rejection", [None, CALIBRATED])
def test_what_lies_near_none_is_unknown_as_in_python(tmp_path: Path, kind: str, rejection: Rejection | None) -> None:
    driver = compiled(
        tmp_path, output=KINDS[kind], rejection=rejection, flags=["-DEM_CLASSES=30", "-DEM_NONE=20", *SANITIZERS]
    )
    shots = vectors(30, 3)
    none = shots[:20, 0] + 0.35 * embeddings(40, 20)
    between = np.repeat((shots[:20].mean(axis=1) + none) / 2.0, 5, axis=0) + 0.05 * embeddings(9, 100)
    queries = np.concatenate([vectors(30, 30, spread=0.8).reshape(-1, DIM), between])
    commands = [*enrolls(driver, shots), *(f"none {driver.hex(each)}" for each in none)]
    answers, _, _ = driver.run([*commands, *(f"classify {driver.hex(query)}" for query in queries)])
    with python_store(tmp_path, driver, shots) as store:
        store.enroll_none(driver.quantized(none))
        head = ScoringHead(store.snapshot())
        limits = Limits(store, head, manifest(rejection))
        refused = 0
        for query, answer in zip(driver.quantized(queries), answers[-1000:], strict=True):
            nearest = head.rank(query, 1)[0]
            of_label = float(limits.of_labels[nearest.label])
            of_none = limits.of_none.limit(query, int(head.counts[nearest.label]))
            refused += of_none < nearest.distance <= of_label
            if abs(nearest.distance / min(of_label, of_none) - 1.0) > 1e-5:  # otherwise rounding decides
                assert answer.lines[0] == ["known" if limits.known(nearest, query) else "unknown"]
    assert refused >= 50


def test_examples_of_none_are_undone_and_forgotten(driver: Driver) -> None:
    shots = vectors(3, 1)[:, 0]
    none = [f"none {driver.hex(shot)}" for shot in shots]
    query = f"classify {driver.hex(shots[1])}"
    answers, _, _ = driver.run(
        [f"enroll {driver.hex(shots[0])} a", query, none[1], query, "undo", query, none[1], none[2], "list", "forget-none",
         query, "undo", "list", "forget-none", none[0], f"adapt 1 {bits(0.1)} 1", "undo"]
    )  # fmt: skip
    known = [answer.lines[0][0] for answer in answers if answer.lines and answer.lines[0][0] in ("known", "unknown")]
    assert known == ["known", "unknown", "known", "known"]
    assert answers[8].lines[1:] == [["none", "2"]]
    statuses = [answer.status for answer in answers[9:]]
    assert statuses == [
        "EM_OK",
        "EM_OK",
        "EM_NOTHING_TO_UNDO",
        "EM_OK",
        "EM_NO_SUCH_CLASS",
        "EM_OK",
        "EM_FEW_CLASSES",
        "EM_OK",
    ]


def test_changes_and_their_undo(driver: Driver) -> None:
    shots = vectors(3, 2)
    answers, _, _ = driver.run(
        [*enrolls(driver, shots), "rename 2 other name", "list", "undo", "list", "undo", "forget 1", "list", "undo",
         f"enroll {driver.hex(shots[0, 0])} new", "list", "undo", "list", "forget 1"]
    )  # fmt: skip
    lists = [
        [" ".join(line[4:]) for line in answer.lines] for answer in answers if answer.lines and answer.lines[0][0] == "class"
    ]
    first = ["class 0", "class 1", "class 2"]
    after = ["class 1", "class 2"]
    assert lists == [["class 0", "other name", "class 2"], first, after, [*after, "new"], after]
    statuses = [answer.status for answer in answers[6:]]
    assert statuses[4] == statuses[7] == "EM_NOTHING_TO_UNDO"  # after an undo, and after forgetting
    assert statuses[-1] == "EM_NO_SUCH_CLASS"
    assert answers[-5].lines == [["enrolled", "4"]]  # an id is never used again


def test_forgetting_a_shot_by_undo_restores_the_prototype(driver: Driver) -> None:
    shots = vectors(1, 3)
    answers, _, _ = driver.run(
        [*enrolls(driver, shots)[:2], "prototype 1", enrolls(driver, shots)[2], "undo", "prototype 1"]
    )
    assert answers[2] == answers[-1]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("enroll {shot}  ", "EM_LABEL_EMPTY"),
        ("enroll {shot} " + "x" * 32, "EM_LABEL_TOO_LONG"),
        ("rename 1 class 1", "EM_LABEL_TAKEN"),
        ("rename 9 name", "EM_NO_SUCH_CLASS"),
        ("forget 0", "EM_NO_SUCH_CLASS"),
        ("forget 65536", "EM_BAD_ARGUMENT"),
        ("enroll e 00 name", "EM_BAD_ARGUMENT"),
        ("enroll i 00000000 name", "EM_BAD_ARGUMENT"),
        ("enroll", "EM_BAD_ARGUMENT"),
        ("none e 00", "EM_BAD_ARGUMENT"),
        ("sing", "EM_BAD_ARGUMENT"),
        ("adapt 0 3f800000 0", "EM_BAD_ARGUMENT"),
        ("adapt 3 7fc00000 0", "EM_BAD_ARGUMENT"),
    ],
)
def test_bad_input_is_named_and_nothing_changes(driver: Driver, command: str, status: str) -> None:
    shots = vectors(2, 1)
    given = command.format(shot=driver.hex(shots[0, 0]))
    answers, _, _ = driver.run([*enrolls(driver, shots), "list", given, "list"])
    assert answers[3].status == status
    assert answers[2] == answers[4]


@pytest.mark.parametrize("label", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80"])
def test_a_label_that_is_no_utf8_is_refused(driver: Driver, label: bytes) -> None:
    command = f"enroll {driver.hex(vectors(1, 1)[0, 0])} ".encode() + label + b"\n"
    done = subprocess.run([driver.program], input=command, capture_output=True, check=True)
    assert done.stdout == b"error EM_LABEL_NOT_UTF8\n"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32768.0])
def test_embeddings_out_of_range_are_refused(tmp_path: Path, value: float) -> None:
    driver = compiled(tmp_path)
    shot = np.full(DIM, 1.0, np.float32)
    shot[3] = value
    answers, _, _ = driver.run([f"enroll {driver.hex(shot)} a", f"classify {driver.hex(shot)}", "list"])
    assert [answer.status for answer in answers] == ["EM_NOT_FINITE", "EM_NOT_FINITE", "EM_OK"]


def test_a_full_store_says_so(tmp_path: Path) -> None:
    driver = compiled(tmp_path, flags=["-DEM_CLASSES=2", "-DEM_SHOTS=2", "-DEM_NONE=1", *SANITIZERS])
    none = f"none {driver.hex(vectors(1, 1)[0, 0])}"
    answers, _, _ = driver.run([none, none, *enrolls(driver, vectors(3, 3)), "list"])
    assert [answer.status for answer in answers[:2]] == ["EM_OK", "EM_NONE_FULL"]
    statuses = [answer.status for answer in answers[2:-1]]
    assert statuses == ["EM_OK", "EM_OK", "EM_SHOTS_FULL"] * 2 + ["EM_CLASSES_FULL"] * 3
    assert [line[1:3] for line in answers[-1].lines] == [["1", "2"], ["2", "2"], ["1"]]


def test_without_the_macro_of_tflm_nothing_compiles(tmp_path: Path) -> None:
    (tmp_path / "edge_meta_config.h").write_text(config(ENCODER_ID, DIM, None, None, 4))
    command = [COMPILERS[0], "-std=c99", f"-I{tmp_path}", f"-I{LIBRARY}", "-fsyntax-only", str(LIBRARY / "edge_meta.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Define TF_LITE_STATIC_MEMORY for the whole program" in done.stderr
    assert subprocess.run([*command, "-DTF_LITE_STATIC_MEMORY"], check=False).returncode == 0


@pytest.mark.parametrize(("classes", "shots"), [(3, 4), (6, 2), (4, 1)])
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_adapting_takes_the_steps_that_python_takes(
    driver: Driver, tmp_path: Path, classes: int, shots: int, rate: float
) -> None:
    each = 0.3 * vectors(classes, shots, spread=1.4)  # so that softmax is not saturated, and rounding decides nothing
    queries = 0.3 * vectors(classes, 10, spread=1.4).reshape(-1, DIM)
    commands = [*enrolls(driver, each), f"adapt 20 {bits(rate)} 1", *(f"classify {driver.hex(query)}" for query in queries)]
    new = 0.3 * vectors(1, 1, seed=77)[0, 0]
    later = [
        f"enroll {driver.hex(new)} new",
        *(f"classify {driver.hex(query)}" for query in queries),
        "undo",
        "list",
        "undo",
    ]
    answers, _, _ = driver.run([*commands, *later])
    with python_store(tmp_path, driver, each) as store:
        with store.adapting() as change:
            adapted = adapt_head(change, AdaptationConfig("gradient", (rate,) * 20, trusted=True))
        said = answers[classes * shots].lines[0]
        assert said[1:3] == [str(adapted.steps), str(adapted.held_out)]
        if adapted.held_out:
            expected = adapted.held_out_loss_before, adapted.held_out_loss_after
            np.testing.assert_allclose(floats(said[3:]), expected, rtol=1e-3)
        first = classes * shots + 1
        compare(ScoringHead(store.snapshot()), driver, queries, answers[first : first + len(queries)])
        store.enroll("new", driver.quantized(new[None]))
        first += len(queries) + 1
        compare(ScoringHead(store.snapshot()), driver, queries, answers[first : first + len(queries)])


def compare(head: ScoringHead, driver: Driver, queries: Array, answers: Sequence[Said]) -> None:
    for query, answer in zip(driver.quantized(queries), answers, strict=True):
        expected = head.rank(query, 3)
        found = [(int(line[1]) - 1, *floats(line[2:4])) for line in answer.lines[1:]]
        np.testing.assert_allclose([score for _, _, score in found], [each.score for each in expected], atol=2e-3)
        if expected[0].score - expected[1].score > 4e-3:
            assert found[0][0] == expected[0].label
