"""The text that edge-meta inspect --board prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines of text for the facts that `--json` prints under `board`."""
    code = facts["code_bytes"]
    yield (
        f"on a board, about: {facts['flash_bytes']:,} bytes of flash ({facts['model_bytes']:,} encoder, "
        f"{facts['interpreter_code_bytes']:,} TensorFlow Lite Micro, {code['all']:,} classes; "
        f"{code['classes']:,} without adapt and flash)"
    )
    yield (
        f"  {facts['ram_bytes']:,} bytes of RAM for 16 classes of 5 shots ({facts['arena_bytes']:,} arena, "
        f"{facts['stack_bytes']:,} stack)"
    )
    instructions = facts["instructions"]
    if npu := facts["npu"]:
        embed = (
            f"{npu['milliseconds']:.3g} ms to embed on the {npu['config']} at {npu['clock_mhz']:,} MHz by Vela's estimate"
        )
    else:
        embed = f"{instructions['embed']:,} instructions to embed on a Cortex-M4 with CMSIS-NN"
    yield f"  {embed}, {instructions['classify']:,}{' instructions' if npu else ''} to classify among 16"
    yield "  a store's RAM: classes × shots, with all, classes alone"
    for store in facts["stores"]:
        yield f"    {store['classes']:>2} × {store['shots']:<2} {store['all']:>9,} {store['classes_alone']:>9,}"
    if npu:
        return
    yield "  boards, by their board files; milliseconds to embed if each instruction takes a cycle:"
    for board in facts["boards"]:
        yield f"    {_board(board)}"


def _board(board: Mapping[str, Any]) -> str:
    if board["fits"]:
        verdict = f"fits, {board['embed_ms']:,} ms"
    elif board["leave_out"]:
        verdict = f"fits with {board['leave_out']}, {board['embed_ms']:,} ms"
    else:
        verdict = f"lacks {' and '.join(f'{count:,} bytes of {_NAMES[kind]}' for kind, count in board['lacks'].items())}"
    return f"{board['name']} ({board['chip']}, {board['core']}, {board['mhz']} MHz; {board['source']}): {verdict}"


_NAMES = {"flash": "flash", "ram": "RAM"}
