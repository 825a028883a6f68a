"""The QR code that `edge-meta serve --host` prints."""

from __future__ import annotations

import hashlib

import pytest

from converters.targets.web.qr_code import drawn, qr_code


# As another program (segno) draws them, with level L and mask 0; these texts fill their versions.
@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("x" * 17, 21, "714ce3d4a6c70750b8877fe7de584f0071b6eb80e6aac66073fe1fe7210f4703"),
        ("x" * 53, 29, "ce57188f299543529831731b21e19ebba68dc5a414c57de17b410341c4915027"),
        ("y" * 106, 37, "c86866eba1c6a3670aef4666cb0907c6d87db68caa47302461f4cd274ba88d1a"),
    ],
    ids=["1", "3", "5"],
)
def test_a_code_is_that_of_another_program(text: str, size: int, digest: str) -> None:
    modules = qr_code(text)
    assert modules is not None
    rows = ["".join(str(int(dark)) for dark in row) for row in modules]
    assert len(rows) == size
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == digest


def test_a_shorter_text_is_padded_and_a_longer_one_refused() -> None:
    code = qr_code("https://192.168.1.20:8000/?code=abcdefghijklmnop")
    assert code is not None
    assert len(code) == 29
    assert qr_code("z" * 107) is None


def test_a_code_is_drawn_in_half_blocks_with_a_quiet_margin() -> None:
    lines = drawn(qr_code("x" * 17) or []).splitlines()
    assert {len(line) for line in lines} == {25}
    assert lines[0] == "█" * 25
    assert lines[1].startswith("██ ▄▄▄▄▄ █")
