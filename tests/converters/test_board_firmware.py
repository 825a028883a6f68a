"""The example firmware on an emulated Cortex-M4: it learns, rejects, adapts, loses power, and answers as Python does."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from support.board import ENCODER_ID, Said, bits, floats
from support.device import draw
from support.firmware import FLAGS, MISSING, WARNINGS, WHY_NOT, Board, blank_flash, build, cross

from converters.targets import export_target
from converters.targets.board_config import LIBRARY, config
from converters.targets.board_size import ENCODER_STACK, STACK, classify_instructions
from converters.targets.integer import End, IntegerEncoder
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.adapted import adapt_head
from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.limits import Limits
from edge_meta.store.board import read_board
from edge_meta.store.store import Store
from edge_meta.types import Array

needs_tools = pytest.mark.skipif(bool(MISSING), reason=WHY_NOT)
needs_board = pytest.mark.skipif(
    bool(WHY_NOT) or find_spec("tflite_micro") is None, reason=WHY_NOT or "tflite-micro is not installed"
)
Pixels = np.ndarray
ENROLLED = [(kind, take) for kind in range(5) for take in range(3)]
STRANGERS = range(5, 8)
ASKED = [(kind, 5) for kind in range(8)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open("omniglot")


@pytest.fixture(scope="module")
def firmware(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    return build(folder, export_target(bundle, folder / "board", "tflm").path)


@pytest.fixture(scope="module")
def embed(bundle: Bundle) -> Callable[[Pixels], Array]:
    """The encoder with TFLite's reference kernels, int8 in and out."""
    encoder, input_spec = IntegerEncoder.of(bundle), bundle.manifest.input_spec
    interpreter = Interpreter(model_content=encoder.model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()

    def run(image: Pixels) -> Array:
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"], encoder.input.quantized(input_spec.normalize(image))[None]
        )
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]

    return run


def image(kind: int, take: int) -> Pixels:
    """A take of a kind; strangers are white on black."""
    return (255 - draw(kind, take) if kind in STRANGERS else draw(kind, take))[..., None]


def given(kind: int, take: int) -> str:
    return f"i {image(kind, take).tobytes().hex()}"


@needs_board
def test_a_board_learns_as_python_and_survives_power_loss(
    bundle: Bundle, firmware: Path, embed: Callable[[Pixels], Array], tmp_path: Path
) -> None:
    flash, output = blank_flash(tmp_path / "flash"), IntegerEncoder.of(bundle).output
    rate = bundle.manifest.learning_rates[0]
    with Board(firmware, flash) as board:
        assert board.ready == "ready EM_OK"
        embedded = board.run(f"embed {given(0, 0)}").lines[0][1]
        assert embedded == embed(image(0, 0)).tobytes().hex()
        for kind, take in ENROLLED[:-1]:
            assert board.run(f"enroll {given(kind, take)} kind {kind}").status == "EM_OK"
    with Board(firmware, flash) as board:  # the power was lost between two writes
        assert board.run(f"enroll {given(*ENROLLED[-1])} kind 4").status == "EM_OK"
        answers = [board.run(f"classify {given(*each)}") for each in ASKED]
        assert board.run(f"none {given(2, 5)}").status == "EM_OK"
        adapted = board.run(f"adapt 10 {bits(rate)} 0").lines[0]
        after = [board.run(f"classify {given(*each)}") for each in ASKED]
    values = [output.values(embed(image(*each))) for each in ASKED]
    with Store(tmp_path / "desk.db", bundle.manifest.encoder_id, bundle.manifest.dim) as store:
        for kind, take in ENROLLED:
            store.enroll(f"kind {kind}", output.values(embed(image(kind, take)))[None])
        known = compare(bundle, store, values, answers)
        assert known == [kind not in STRANGERS for kind, _ in ASKED]
        store.enroll_none(output.values(embed(image(2, 5)))[None])
        with store.adapting() as change:
            expected = adapt_head(change, AdaptationConfig.of([rate] * 10, False, "gradient"))
        assert adapted[1:3] == [str(expected.steps), "15"]
        assert compare(bundle, store, values, after) != known
    with Board(firmware, flash) as board:  # it has kept the adapted head
        assert [board.run(f"classify {given(*each)}") for each in ASKED[:2]] == after[:2]
        before = board.run("list")
    for finished in range(4):  # the power is lost inside of a write
        with Board(firmware, flash) as board:
            assert board.run("list") == before
            for _ in range(6):
                board.send("compact")
            for _ in range(finished):
                board.run("list")
    with Board(firmware, flash) as board:
        assert board.run("list") == before
    done = read_board(flash_region(flash), tmp_path / "board.db", bundle.manifest.encoder_id, bundle.manifest.dim)
    assert done == {"classes": 5, "shots": 15, "none_shots": 1, "damaged": []}


@needs_board
def test_classifying_costs_little_beside_the_encoder(firmware: Path, tmp_path: Path) -> None:
    dim, classes = 112, 16
    embedded = [f"e {random.tobytes().hex()}" for random in np.random.default_rng(0).integers(-128, 128, (17, dim), np.int8)]
    with Board(firmware, blank_flash(tmp_path / "flash"), counted=True) as board:
        read, encoder = board.cost(f"embed {embedded[0]}"), board.cost(f"embed {given(0, 0)}")
        enroll = [board.cost(f"enroll {each} class {k}") for k, each in enumerate(embedded[:classes])][-1]
        limits, classify = (board.cost(f"classify {embedded[-1]}") for _ in range(2))
        forget = board.cost("forget 3")
    for cost in (limits, enroll, forget):
        assert cost.stack <= STACK
    assert encoder.stack <= ENCODER_STACK
    taken = classify.instructions - read.instructions  # reading the embedding is not classifying
    np.testing.assert_allclose(taken, classify_instructions(dim, classes), rtol=0.1)
    assert taken < encoder.instructions / 1000
    np.testing.assert_allclose(encoder.instructions, 37_864_680, rtol=0.02)


def flash_region(flash: Path) -> Path:
    """The board's two sectors."""
    region = flash.with_name("region")
    region.write_bytes(flash.read_bytes()[: 2 * 16384])
    return region


def compare(bundle: Bundle, store: Store, values: list[Array], answers: list[Said]) -> list[bool]:
    """Require that the board's answers are Python's; returns which queries are known."""
    head = ScoringHead(store.snapshot())
    limits = Limits(store, head, bundle.manifest)
    known = []
    for value, answer in zip(values, answers, strict=True):
        expected = head.rank(value, 3)
        assert [" ".join(line[4:]) for line in answer.lines[1:]] == [head.labels[each.label] for each in expected]
        distances = floats([line[2] for line in answer.lines[1:]])
        np.testing.assert_allclose(distances, [each.distance for each in expected], atol=1e-4)
        known.append(limits.known(expected[0], value))
        assert answer.lines[0] == ["known" if known[-1] else "unknown"]
    return known


@needs_tools
@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33"])
def test_the_library_compiles_for_other_cores(tmp_path: Path, cpu: str) -> None:
    (tmp_path / "edge_meta_config.h").write_text(config(ENCODER_ID, 112, End(0.1, 0), None, 784))
    for source in sorted(LIBRARY.glob("*.c")):
        cross(
            "gcc",
            f"-mcpu={cpu}",
            "-mthumb",
            *FLAGS,
            *WARNINGS,
            "-std=c99",
            f"-I{tmp_path}",
            "-c",
            source,
            "-o",
            tmp_path / "o",
        )
