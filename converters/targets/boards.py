"""A few boards, from the datasheets of their chips; none of them was tried."""

from __future__ import annotations

from typing import NamedTuple

KB, MB = 1024, 1024 * 1024


class Board(NamedTuple):
    """A board.

    Attributes:
        core: the processor, as `board_size.EMBED_A_PRODUCT` names it.
        mhz: its fastest clock.
        flash_bytes: for program and constants.
        ram_bytes: of the largest bank in one piece.
        source: the datasheet.
    """

    name: str
    chip: str
    core: str
    mhz: int
    flash_bytes: int
    ram_bytes: int
    source: str


BOARDS = (
    Board("Blue Pill", "STM32F103C8", "Cortex-M3", 72, 64 * KB, 20 * KB, "ST DS5319"),
    Board("Arduino Zero", "ATSAMD21G18", "Cortex-M0+", 48, 256 * KB, 32 * KB, "Microchip DS40001882"),
    Board("Black Pill", "STM32F411CE", "Cortex-M4", 100, 512 * KB, 128 * KB, "ST DS10314"),
    Board("micro:bit v2", "nRF52833", "Cortex-M4", 64, 512 * KB, 128 * KB, "Nordic nRF52833 Product Specification"),
    Board("B-L475E-IOT01A", "STM32L475VG", "Cortex-M4", 80, 1 * MB, 96 * KB, "ST DS10969"),
    Board("Arduino Nano 33 BLE", "nRF52840", "Cortex-M4", 64, 1 * MB, 256 * KB, "Nordic nRF52840 Product Specification"),
    Board("Raspberry Pi Pico", "RP2040", "Cortex-M0+", 133, 2 * MB, 256 * KB, "RP2040 Datasheet; Pico Datasheet (flash)"),
    Board(
        "Raspberry Pi Pico 2", "RP2350", "Cortex-M33", 150, 4 * MB, 512 * KB, "RP2350 Datasheet; Pico 2 Datasheet (flash)"
    ),
    Board("32F746GDISCOVERY", "STM32F746NG", "Cortex-M7", 216, 1 * MB, 240 * KB, "ST DS10916"),
    Board("NUCLEO-H743ZI2", "STM32H743ZI", "Cortex-M7", 480, 2 * MB, 512 * KB, "ST DS12110"),
    Board("Teensy 4.1", "i.MX RT1062", "Cortex-M7", 600, 7936 * KB, 512 * KB, "NXP IMXRT1060CEC; PJRC (flash)"),
)
