"""A few boards, by the board files of PlatformIO and Zephyr, read on GitHub; none of the boards was tried."""

from __future__ import annotations

from typing import NamedTuple

KB, MB = 1024, 1024 * 1024


class Board(NamedTuple):
    """A board.

    Attributes:
        core: the processor, as `board_size.EMBED_A_PRODUCT` names it.
        mhz: its clock, as the file sets it.
        flash_bytes: for program and constants, without a bootloader that the file leaves room for.
        ram_bytes: in one piece.
        source: the file with these numbers.
    """

    name: str
    chip: str
    core: str
    mhz: int
    flash_bytes: int
    ram_bytes: int
    source: str


BOARDS = (
    Board("Blue Pill", "STM32F103C8", "Cortex-M3", 72, 64 * KB, 20 * KB, "PlatformIO bluepill_f103c8.json"),
    Board("Arduino Zero", "ATSAMD21G18", "Cortex-M0+", 48, 256 * KB, 32 * KB, "PlatformIO zeroUSB.json"),
    Board("Black Pill", "STM32F411CE", "Cortex-M4", 100, 512 * KB, 128 * KB, "PlatformIO blackpill_f411ce.json"),
    Board("micro:bit v2", "nRF52833", "Cortex-M4", 64, 512 * KB, 128 * KB, "PlatformIO bbcmicrobit_v2.json"),
    # PlatformIO adds 32 kB that lie elsewhere.
    Board("B-L475E-IOT01A", "STM32L475VG", "Cortex-M4", 80, 1 * MB, 96 * KB, "Zephyr stm32l475Xg.dtsi"),
    Board("Arduino Nano 33 BLE", "nRF52840", "Cortex-M4", 64, 960 * KB, 256 * KB, "PlatformIO nano33ble.json"),
    Board("Raspberry Pi Pico", "RP2040", "Cortex-M0+", 133, 2 * MB, 264 * KB, "PlatformIO pico.json"),
    Board("Raspberry Pi Pico 2", "RP2350", "Cortex-M33", 150, 4 * MB, 520 * KB, "Zephyr rpi_pico2.dtsi, rp2350.dtsi"),
    Board("32F746GDISCOVERY", "STM32F746NG", "Cortex-M7", 216, 1 * MB, 320 * KB, "PlatformIO disco_f746ng.json"),
    Board("NUCLEO-H743ZI", "STM32H743ZI", "Cortex-M7", 400, 2 * MB, 512 * KB, "PlatformIO nucleo_h743zi.json"),
    Board("Teensy 4.1", "i.MX RT1062", "Cortex-M7", 600, 7936 * KB, 512 * KB, "PlatformIO teensy41.json"),
)
