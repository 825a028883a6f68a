"""Draw a short text as a QR code for a terminal (ISO/IEC 18004): bytes, correction level L, versions 1 to 5, mask 0."""

from __future__ import annotations

DATA, CORRECTION = (19, 34, 55, 80, 108), (7, 10, 15, 20, 26)  # codewords of each version, in one block
FORMAT = 0x77C4  # level L and mask 0, with their own correction
QUIET = 2  # modules of light around the code

Modules = list[list[bool]]
"""Rows of modules, dark ones True."""


def qr_code(text: str) -> Modules | None:
    """The modules of a text's QR code; None for one of more than 106 bytes."""
    content = text.encode()
    version = next((index for index, room in enumerate(DATA) if len(content) + 2 <= room), None)
    if version is None:
        return None
    bits = f"0100{len(content):08b}" + "".join(f"{byte:08b}" for byte in content) + "0000"
    codewords = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    while len(codewords) < DATA[version]:
        codewords.append((0xEC, 0x11)[(len(codewords) - len(content)) % 2])
    fixed = _patterns(21 + 4 * version)
    return _filled(fixed, codewords + _correction(codewords, CORRECTION[version]))


def drawn(modules: Modules) -> str:
    """The code in half blocks, light on dark as terminals are; two rows of modules in a line."""
    width = len(modules) + 2 * QUIET
    light = [[True] * width for _ in range(QUIET)]
    side = [True] * QUIET
    rows = [*light, *([*side, *(not dark for dark in row), *side] for row in modules), *light, [False] * width]
    pairs = zip(rows[::2], rows[1::2], strict=False)
    return "\n".join("".join(" ▄▀█"[2 * upper + lower] for upper, lower in zip(*pair, strict=True)) for pair in pairs)


def _correction(codewords: list[int], count: int) -> list[int]:
    """The codewords of Reed and Solomon's code over GF(2⁸) with the polynomial 0x11D."""
    generator = [1]
    root = 1
    for _ in range(count):
        shifted = [*generator, 0]
        for index, factor in enumerate(generator):
            shifted[index + 1] ^= _product(factor, root)
        generator, root = shifted, _product(root, 2)
    remainder = [*codewords, *[0] * count]
    for index in range(len(codewords)):
        leading = remainder[index]
        for offset, factor in enumerate(generator):
            remainder[index + offset] ^= _product(factor, leading)
    return remainder[len(codewords) :]


def _product(one: int, other: int) -> int:
    product = 0
    while other:
        product ^= one * (other & 1)
        one, other = (one << 1) ^ (0x11D * (one >> 7)), other >> 1
    return product


def _patterns(size: int) -> dict[tuple[int, int], bool]:
    """The modules (row, column) that do not depend on the text."""
    fixed = {(6, place): place % 2 == 0 for place in range(size)} | {(place, 6): place % 2 == 0 for place in range(size)}
    squares = [((3, 3), 4), ((3, size - 4), 4), ((size - 4, 3), 4)] + [((size - 7, size - 7), 2)] * (size > 21)
    for (row, column), reach in squares:
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                place = row + down, column + across
                if 0 <= place[0] < size and 0 <= place[1] < size:
                    fixed[place] = max(abs(down), abs(across)) in ((0, 1, 3) if reach == 4 else (0, 2))
    above = [(row, 8) for row in (*range(6), 7, 8)] + [(8, column) for column in (7, *range(5, -1, -1))]
    beside = [(8, size - 1 - bit) for bit in range(8)] + [(size - 15 + bit, 8) for bit in range(8, 15)]
    for places in (above, beside):
        fixed |= {place: bool(FORMAT >> bit & 1) for bit, place in enumerate(places)}
    return fixed | {(size - 8, 8): True}


def _filled(fixed: dict[tuple[int, int], bool], codewords: list[int]) -> Modules:
    """Put the codewords' bits into the free modules, two columns at a time, upwards and downwards, and mask them."""
    size = max(fixed)[0] + 1
    bits = iter("".join(f"{codeword:08b}" for codeword in codewords))
    modules = dict(fixed)
    for turn, right in enumerate([*range(size - 1, 6, -2), *range(5, 0, -2)]):
        for row in range(size - 1, -1, -1) if turn % 2 == 0 else range(size):
            for column in (right, right - 1):
                if (row, column) not in fixed:
                    modules[row, column] = (next(bits, "0") == "1") != ((row + column) % 2 == 0)
    return [[modules[row, column] for column in range(size)] for row in range(size)]
