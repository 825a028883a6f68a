"""A board's classes in flash: power cuts, flipped bits, and stores that go to a board and back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.board import COMPILERS, CUTS, ENCODER_ID, OLDER_FLASH, SANITIZERS, Driver, Said, bits, compiled
from support.device import cli, embeddings, state, takes

from converters.targets.integer import End
from edge_meta import Classifier
from edge_meta.errors import StoreError
from edge_meta.store.board import read_board, read_log, write_board
from edge_meta.store.board_records import FIRST_RECORD, SectorHeader, Steps, records
from edge_meta.store.store import Store

pytestmark = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
OUTPUT, STEPS, DIM = End(0.0234375, -7), Steps(0.0234375, -7), 16
SMALL = ["-DEM_CLASSES=6", "-DEM_SHOTS=3", "-DEM_NONE=2", *SANITIZERS]
RATE = bits(0.05)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return compiled(tmp_path_factory.mktemp("driver"), output=OUTPUT, flags=["-DEM_CLASSES=8", *SANITIZERS])


def shots(driver: Driver, dim: int = DIM) -> list[str]:
    return [f"enroll {driver.hex(shot)}" for shot in embeddings(3, 12, dim)]


def history(driver: Driver, dim: int = DIM) -> list[str]:
    """Every kind of change, with a compaction in the middle."""
    e = shots(driver, dim)
    none = [shot.replace("enroll", "none") for shot in e[10:]]
    return [
        f"{e[0]} a", f"{e[1]} b", f"{e[2]} a", f"{e[3]} c", "rename 2 bee", f"{e[4]} b", "undo", f"adapt 4 {RATE} 1", "undo",
        f"adapt 5 {RATE} 1", none[0], none[1], "undo", f"{e[5]} d", "undo", "forget 1", f"{e[6]} a", "rename 3 c2", "undo",
        "compact", f"{e[7]} e", f"adapt 3 {RATE} 1", f"{e[8]} c", "forget-none", none[1], "forget 2", f"{e[9]} f",
        "rename 3 see", f"adapt 3 {RATE} 1",
    ]  # fmt: skip


def listed(answer: Said) -> list[tuple[str, int]]:
    return [(" ".join(line[4:]), int(line[2])) for line in answer.lines if line[0] == "class"]


def in_store(store: Store) -> list[tuple[str, int]]:
    now = store.snapshot()
    return list(zip(now.labels, now.counts.tolist(), strict=True))


def taught(driver: Driver, flash: Path, commands: list[str] | None = None) -> list[tuple[str, int]]:
    """Teach a board; returns what it then lists."""
    answers, _, _ = driver.run([*(commands or history(driver)), "list"], flash)
    assert {answer.status for answer in answers} == {"EM_OK"}
    return listed(answers[-1])


@pytest.mark.parametrize("mode", ["cuts", "flips", "pairs"])
def test_power_cuts_and_flipped_bits_lose_nothing(tmp_path: Path, mode: str) -> None:
    judge(tmp_path, mode, [])


def test_flash_that_programs_once_survives_cuts(tmp_path: Path) -> None:
    judge(tmp_path, "cuts", ["-DEM_FLASH_PROGRAM_ONCE=1", "-DEM_FLASH_UNIT=16", "-DSECTOR=1280"])


def judge(folder: Path, mode: str, flags: list[str]) -> None:
    driver = compiled(folder, dim=4, output=OUTPUT, flags=[*SMALL, *flags], main=CUTS)
    commands = "\n".join([*history(driver, 4), ""])
    done = subprocess.run([driver.program, mode], input=commands, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[3].rstrip(",")) > 4000


def test_what_is_enrolled_is_there_at_the_next_start(driver: Driver, tmp_path: Path) -> None:
    before = taught(driver, tmp_path / "flash")
    answers, opened, _ = driver.run(["list"], tmp_path / "flash")
    assert listed(answers[0]) == before == [("see", 2), ("a", 1), ("e", 1), ("f", 1)]
    assert "opened EM_OK corrected 0 damaged 0 at 0 torn 0" in opened


def test_flash_of_firmware_before_none_still_loads(tmp_path: Path) -> None:
    driver = compiled(tmp_path, dim=4, output=OUTPUT, flags=["-DEM_CLASSES=6", "-DEM_SHOTS=3", *SANITIZERS])
    older = bytes.fromhex(OLDER_FLASH.read_text().replace("\n", ""))  # with a rename, a removal and an adapted head
    (tmp_path / "flash").write_bytes(older.ljust(2048, b"\xff"))
    query = driver.hex(embeddings(3, 12, 4)[1])
    answers, opened, _ = driver.run(["list", f"classify {query}"], tmp_path / "flash", 1024)
    assert opened == "opened EM_OK corrected 0 damaged 0 at 0 torn 0 end 556"
    assert listed(answers[0]) == [("a", 1), ("bee", 1), ("d", 2)]
    assert [line[3] for line in answers[1].lines[1:]] == ["3f7ff72a", "390d54d7", "32ae0d88"]  # that firmware's scores


def test_a_forgotten_shot_leaves_no_byte_in_flash(driver: Driver, tmp_path: Path) -> None:
    stored = OUTPUT.quantized(embeddings(3, 12)).tobytes()
    kept, gone = stored[:DIM], stored[DIM : 2 * DIM]
    first, second = shots(driver)[:2]
    taught(driver, tmp_path / "flash", [f"{first} kept", f"{second} secret", f"adapt 5 {RATE} 1"])
    assert gone in (tmp_path / "flash").read_bytes()
    driver.run(["forget 2"], tmp_path / "flash")
    content = (tmp_path / "flash").read_bytes()
    assert kept in content
    assert gone not in content
    assert b"secret" not in content


@pytest.mark.parametrize("removal", ["forget-none", "undo"])
def test_a_forgotten_example_of_none_leaves_no_byte(driver: Driver, tmp_path: Path, removal: str) -> None:
    stored = OUTPUT.quantized(embeddings(3, 12)).tobytes()
    first, second = shots(driver)[:2]
    none = second.replace("enroll", "none")
    taught(driver, tmp_path / "flash", [f"{first} kept", none])
    assert stored[DIM : 2 * DIM] in (tmp_path / "flash").read_bytes()
    commands = ["forget-none"] if removal == "forget-none" else ["forget-none", none, "undo"]
    taught(driver, tmp_path / "flash", commands)
    content = (tmp_path / "flash").read_bytes()
    assert stored[:DIM] in content
    assert stored[DIM : 2 * DIM] not in content
    answers, _, _ = driver.run(["list", "forget-none"], tmp_path / "flash")
    assert listed(answers[0]) == [("kept", 1)]
    assert answers[1].status == "EM_NO_SUCH_CLASS"


def test_a_full_flash_refuses_to_enroll_but_forgets(driver: Driver, tmp_path: Path) -> None:
    commands = [f"{shots(driver)[k % 12]} class {k % 8}" for k in range(40)]
    answers, _, _ = driver.run([*commands, "list"], tmp_path / "flash", sector=1024)
    statuses = [answer.status for answer in answers[:-1]]
    assert statuses == sorted(statuses, reverse=True)  # once full, it stays so
    assert statuses[0] == "EM_OK"
    assert statuses[-1] == "EM_FLASH_FULL"
    after, _, _ = driver.run(["list", "forget 1", commands[0], "list"], tmp_path / "flash", sector=1024)
    assert after[0] == answers[-1]
    assert [answer.status for answer in after] == ["EM_OK"] * 4
    assert listed(after[-1])[-1] == ("class 0", 1)


def test_wear_goes_round_all_sectors(driver: Driver, tmp_path: Path) -> None:
    headers = set()
    for _ in range(4):
        driver.run([f"{shots(driver)[0]} a", "forget 1", "compact"], tmp_path / "flash", sectors=3)
        content = (tmp_path / "flash").read_bytes()
        headers |= {at for at in range(0, len(content), 4096) if SectorHeader.decoded(content[at : at + FIRST_RECORD])}
        assert sum(bool(content[at : at + 4096].strip(b"\xff")) for at in range(0, len(content), 4096)) == 1
    assert headers == {0, 4096, 8192}


def test_flash_of_another_encoder_is_refused(driver: Driver, tmp_path: Path) -> None:
    taught(driver, tmp_path / "flash")
    before = (tmp_path / "flash").read_bytes()
    other = compiled(tmp_path, output=End(0.03, -7))
    assert other.run([], tmp_path / "flash")[1].startswith("opened EM_WRONG_MODEL")
    assert (tmp_path / "flash").read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "status"),
    [("CLASSES=2", "EM_CLASSES_FULL"), ("SHOTS=1", "EM_SHOTS_FULL"), ("NONE=1", "EM_NONE_FULL"), ("NONE=0", "EM_NONE_FULL")],
)
def test_a_smaller_program_changes_nothing_in_flash(driver: Driver, tmp_path: Path, flag: str, status: str) -> None:
    commands = [*history(driver), shots(driver)[0].replace("enroll", "none")]
    if flag == "NONE=0":
        commands = [commands[-1]]
    taught(driver, tmp_path / "flash", commands)
    before = (tmp_path / "flash").read_bytes()
    smaller = compiled(tmp_path, output=OUTPUT, flags=[f"-DEM_{flag}"])
    assert smaller.run(["forget 3"], tmp_path / "flash")[1].startswith(f"opened {status}")
    assert (tmp_path / "flash").read_bytes() == before


def test_garbage_is_no_flash_and_is_not_erased(driver: Driver, tmp_path: Path) -> None:
    garbage = np.random.default_rng(0).bytes(8192)
    (tmp_path / "flash").write_bytes(garbage)
    assert driver.run([f"{shots(driver)[0]} a"], tmp_path / "flash")[1].startswith("opened EM_CORRUPT_FLASH")
    assert (tmp_path / "flash").read_bytes() == garbage


# --- to the desk, and back --------------------------------------------------------------------------------------------


def test_the_desk_reads_what_the_board_was_taught(driver: Driver, tmp_path: Path) -> None:
    before = taught(driver, tmp_path / "flash")
    done = read_board(tmp_path / "flash", tmp_path / "desk.db", ENCODER_ID, DIM)
    assert done == {"classes": 4, "shots": 5, "none_shots": 1, "damaged": []}
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        assert in_store(store) == before
        found = {label: store.first_shots([label], 9)[0] for label, _ in before}
        none = store.none_shots()
    expected = OUTPUT.values(OUTPUT.quantized(embeddings(3, 12)))
    np.testing.assert_array_equal(found["see"], expected[[3, 8]])
    np.testing.assert_array_equal(none, expected[[11]])


def test_the_board_reads_what_the_desk_was_taught(driver: Driver, tmp_path: Path) -> None:
    values = OUTPUT.values(OUTPUT.quantized(embeddings(5, 6)))
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        store.enroll("alef", values[:3])
        store.enroll("bet", values[3:5])
        store.enroll("gone", values[5:])
        store.forget("gone")
        store.enroll_none(values[4:])
        with store.adapting() as change:
            change.replace_head(np.ones((DIM, 2), np.float32), np.zeros(2, np.float32))
        assert write_board(store, tmp_path / "flash", STEPS, 4096) == {"classes": 2, "shots": 5, "none_shots": 2}
        expected = state(store)
    answers, opened, _ = driver.run(["list", f"{shots(driver)[0]} new"], tmp_path / "flash")
    assert opened.startswith("opened EM_OK corrected 0 damaged 0")
    assert listed(answers[0]) == [("alef", 3), ("bet", 2)]
    assert answers[0].lines[-1] == ["none", "2"]
    _, log = read_log((tmp_path / "flash").read_bytes(), tmp_path)
    assert len(log.columns) == 2
    write_back = tmp_path / "again.db"
    driver.run(["forget 3", f"adapt 1 {bits(1e-9)} 1"], tmp_path / "flash")
    read_board(tmp_path / "flash", write_back, ENCODER_ID, DIM)
    with Store(write_back, ENCODER_ID, DIM) as store:
        assert state(store)[:3] == expected[:3]


def test_a_board_and_a_desk_merge_as_two_desks_do(driver: Driver, tmp_path: Path) -> None:
    values = OUTPUT.values(OUTPUT.quantized(embeddings(5, 6)))
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        store.enroll("alef", values[:2])
        store.enroll("bet", values[2:4])
        store.enroll("gimel", values[4:])
        write_board(store, tmp_path / "flash", STEPS, 4096)
        driver.run(["rename 2 beth", "forget 3", f"{shots(driver)[0]} alef"], tmp_path / "flash")
        read_board(tmp_path / "flash", tmp_path / "board.db", ENCODER_ID, DIM)
        store.rename("bet", "beth")  # as the board did: each shot counts once
        merged = store.merge(tmp_path / "board.db")
        assert (merged.added, merged.removed) == (1, 2)
        assert in_store(store) == [("alef", 3), ("beth", 2)]
        again = store.merge(tmp_path / "board.db")
        assert (again.added, again.removed) == (0, 0)


def test_examples_of_none_merge_from_a_board_once(driver: Driver, tmp_path: Path) -> None:
    values = OUTPUT.values(OUTPUT.quantized(embeddings(5, 4)))
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        store.enroll("alef", values[:2])
        store.enroll_none(values[2:])
        write_board(store, tmp_path / "flash", STEPS, 4096)
        driver.run([shots(driver)[0].replace("enroll", "none")], tmp_path / "flash")
        read_board(tmp_path / "flash", tmp_path / "board.db", ENCODER_ID, DIM)
        for added in (1, 0):
            assert store.merge(tmp_path / "board.db").added == added
            assert len(store.none_shots()) == 3
        driver.run(["forget-none"], tmp_path / "flash")
        read_board(tmp_path / "flash", tmp_path / "forgotten.db", ENCODER_ID, DIM)
        store.merge(tmp_path / "forgotten.db")
        assert len(store.none_shots()) == 0
        assert in_store(store) == [("alef", 2)]


def test_damaged_records_are_skipped_and_named(driver: Driver, tmp_path: Path) -> None:
    taught(driver, tmp_path / "flash", [f"{shots(driver)[k]} class {k}" for k in range(4)])
    content = bytearray((tmp_path / "flash").read_bytes())
    places = [at for at, _ in records(bytes(content[:4096]), 4)]
    for at in (places[1] + 40, places[1] + 50):
        content[at] ^= 0x10
    (tmp_path / "flash").write_bytes(content)
    answers, opened, _ = driver.run(["list"], tmp_path / "flash")
    assert f"damaged 1 at {places[1]} " in opened
    done = read_board(tmp_path / "flash", tmp_path / "desk.db", ENCODER_ID, DIM)
    assert done["damaged"] == [places[1]]
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        assert in_store(store) == listed(answers[0]) == [("class 0", 1), ("class 2", 1), ("class 3", 1)]


def test_the_desk_reads_any_cut_as_the_board_does(driver: Driver, tmp_path: Path) -> None:
    for cut in range(0, 2600, 83):
        (tmp_path / "flash").unlink(missing_ok=True)
        driver.run(history(driver), tmp_path / "flash", cut=cut)
        content = (tmp_path / "flash").read_bytes()
        answers, _, _ = driver.run(["list"], tmp_path / "flash")
        if cut < 64:
            continue  # not formatted yet
        _, log = read_log(content, tmp_path)
        owners = [number for number, _, _ in log.shots.values()]
        assert [(label, owners.count(number)) for number, label in log.labels.items()] == listed(answers[0])
        assert log.damaged == []


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("a\0b", 0.0, "a zero character"),
        ("x" * 251, 0.0, "251 bytes of a label"),
        ("fine", 0.1, "not of the board's int8 steps"),
    ],
)
def test_a_store_that_no_board_holds_is_refused(tmp_path: Path, label: str, value: float, message: str) -> None:
    with Store(tmp_path / "desk.db", ENCODER_ID, DIM) as store:
        store.enroll(label, np.full((1, DIM), STEPS.values(b"\7")[0] + np.float32(value)))
        with pytest.raises(StoreError, match=message):
            write_board(store, tmp_path / "flash", STEPS, 4096)
    assert not (tmp_path / "flash").exists()


def test_the_verbs_read_and_write_a_boards_flash(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "desk.db") as classifier:
        classifier.enroll("alef", takes(1, 3))
    store = ("--store", tmp_path / "desk.db", "--format", "board")
    cli("export-store", "omniglot", tmp_path / "flash", *store, "--sector-bytes", 16384)
    assert (tmp_path / "flash").stat().st_size == 2 * 16384
    said = cli("import-store", "omniglot", tmp_path / "flash", "--format", "board", "--store", tmp_path / "again.db").stdout
    assert "3 shots of 1 classes" in said
    assert (
        "no sector has a header"
        in cli(
            "import-store", "omniglot", tmp_path / "desk.db", "--format", "board", "--store", tmp_path / "x.db", code=1
        ).stderr
    )
