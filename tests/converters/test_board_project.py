"""The board's library as Arduino, PlatformIO, CMake and Zephyr take it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.device import draw
from support.firmware import CPU, FLAGS, PORT, SOURCE, WHY_NOT, Board, blank_flash, library_objects

import edge_meta
from converters.targets import export_target
from converters.targets.board_config import LIBRARY
from edge_meta.runtime.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
needs_board = pytest.mark.skipif(bool(WHY_NOT) or shutil.which("cmake") is None, reason=WHY_NOT or "cmake is not installed")
# As Arduino's specification of libraries has them.
FIELDS = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "architectures", "includes"}
THIRD_PARTY = ("", "/third_party/flatbuffers/include", "/third_party/gemmlowp", "/third_party/ruy")
CXX = [*FLAGS, "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""
ARDUINO = """\
#include <cstddef>
#include <cstdint>
struct SerialPort {
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  int available() { return 0; }
  int read() { return -1; }
  std::size_t write(std::uint8_t) { return 1; }
  std::size_t print(const char*) { return 0; }
};
extern SerialPort Serial;
"""
ZEPHYR = """\
cmake_minimum_required(VERSION 3.13)
project(zephyr LANGUAGES C CXX)
add_library(kernel INTERFACE)
add_subdirectory({tflm} tflm)
function(zephyr_include_directories)
  target_include_directories(kernel INTERFACE ${{ARGV}})
endfunction()
function(zephyr_compile_definitions)
  target_compile_definitions(kernel INTERFACE ${{ARGV}})
endfunction()
macro(zephyr_library)
  add_library(module STATIC)
  target_link_libraries(module PUBLIC kernel tflm)
endmacro()
function(zephyr_library_sources)
  target_sources(module PRIVATE ${{ARGV}})
endfunction()
set(CONFIG_EDGE_META y)
set(CONFIG_EDGE_META_CLASSES 4)
set(CONFIG_EDGE_META_SHOTS 2)
set(CONFIG_EDGE_META_NONE 0)
set(CONFIG_EDGE_META_ADAPT y)
add_subdirectory({module} module)
"""
PROGRAM = """\
cmake_minimum_required(VERSION 3.13)
project(program LANGUAGES C CXX)
add_subdirectory({tflm} tflm)
add_subdirectory({library} edge_meta)
target_link_libraries(edge_meta PUBLIC tflm)
add_executable(firmware.elf {library}/extras/firmware.cc {port}/port.c {startup})
target_include_directories(firmware.elf PRIVATE {library}/extras)
target_link_libraries(firmware.elf PRIVATE edge_meta)
target_link_options(firmware.elf PRIVATE -nostartfiles --specs=nano.specs --specs=rdimon.specs -Wl,--gc-sections -T {script})
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_target(Bundle.open("omniglot"), tmp_path_factory.mktemp("bundle") / "board", "tflm").path


@pytest.fixture(scope="module")
def library(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    with zipfile.ZipFile(firmware / "library.zip") as archive:
        archive.extractall(folder)
    return folder / "edge_meta"


@pytest.fixture(scope="module")
def tflm(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CMake project with TensorFlow Lite Micro's library, compiled; its tree is beside it."""
    folder = tmp_path_factory.mktemp("tflm")
    tree, objects = library_objects(folder, firmware)
    subprocess.run(["arm-none-eabi-ar", "rcs", folder / "libtflm.a", *objects], check=True)
    includes = " ".join(f"{tree}{part}" for part in THIRD_PARTY)
    (folder / "CMakeLists.txt").write_text(
        f"add_library(tflm INTERFACE)\ntarget_include_directories(tflm SYSTEM INTERFACE {includes})\n"
        f"target_link_libraries(tflm INTERFACE {folder}/libtflm.a)\n"
    )
    return folder


def build(project: Path, text: str) -> None:
    """Configure and compile a CMake project for a Cortex-M4."""
    project.mkdir()
    (project / "CMakeLists.txt").write_text(text)
    (project / "arm.cmake").write_text(TOOLCHAIN)
    c, cxx = " ".join([*CPU, *FLAGS]), " ".join([*CPU, *CXX])
    configure = ["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_TOOLCHAIN_FILE={project / 'arm.cmake'}"]
    run([*configure, f"-DCMAKE_C_FLAGS={c}", f"-DCMAKE_CXX_FLAGS={cxx}"])
    run(["cmake", "--build", project / "build"])


def run(command: Sequence[str | Path], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_arduino_finds_what_it_asks_of_a_library(library: Path) -> None:
    lines = (library / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties.keys() == FIELDS
    assert all(properties.values())
    assert properties["version"] == edge_meta.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] == "Data Processing"
    assert all((library / "src" / name).exists() for name in properties["includes"].split(","))
    compiled = {path.suffix for path in (library / "src").iterdir()}
    assert compiled == {".c", ".cpp", ".h"}
    assert all((folder / f"{folder.name}.ino").exists() for folder in (library / "examples").iterdir())


def test_the_library_has_the_sources_of_the_bundle(firmware: Path, library: Path) -> None:
    found = {path.name.removesuffix(".cpp"): path.read_bytes() for path in (library / "src").iterdir()}
    sources = {path.name for path in LIBRARY.glob("*.[ch]*")} | {"encoder.cc", "encoder.h", "edge_meta_config.h"}
    assert len(found) == len(sources) - 2
    assert all(content == (firmware / name).read_bytes() for name, content in found.items() if name.endswith((".c", ".h")))
    assert found["encoder"] == (firmware / "encoder.cc").read_bytes()


@pytest.mark.skipif(shutil.which("pio") is None, reason="PlatformIO (pio) is not installed")
def test_platformio_packs_the_library(library: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(tmp_path), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    command = ["pio", "pkg", "pack", "-o", tmp_path / "packed.tar.gz", library]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "packed.tar.gz").exists()
    assert json.loads((library / "library.json").read_text())["version"] == edge_meta.__version__


@needs_board
def test_cmake_builds_a_firmware_that_learns(library: Path, tflm: Path, tmp_path: Path) -> None:
    text = PROGRAM.format(
        tflm=tflm, library=library, port=PORT, startup=SOURCE / "qemu" / "startup.c", script=SOURCE / "qemu" / "mps2.ld"
    )
    build(tmp_path / "project", text)
    program = tmp_path / "project" / "build" / "firmware.elf"
    with Board(program, blank_flash(tmp_path / "flash")) as board:
        assert board.ready == "ready EM_OK"
        for kind in range(2):
            example = np.ascontiguousarray(draw(kind, 0)).tobytes().hex()
            assert board.run(f"enroll i {example} class {kind}").status == "EM_OK"
        said = board.run(f"classify i {draw(1, 1).tobytes().hex()}")
        assert said.lines[1][-2:] == ["class", "1"]


@needs_board
def test_zephyr_compiles_the_module_as_configured(library: Path, tflm: Path, tmp_path: Path) -> None:
    module = (library / "zephyr" / "module.yml").read_text()
    assert "cmake: zephyr\n" in module
    assert "kconfig: zephyr/Kconfig\n" in module
    build(tmp_path / "project", ZEPHYR.format(tflm=tflm, module=library / "zephyr"))
    symbols = run(["arm-none-eabi-nm", tmp_path / "project" / "build" / "module" / "libmodule.a"])
    assert " T em_adapt\n" in symbols
    assert " T em_enroll\n" in symbols
    assert "em_flash_open" not in symbols
    assert "em_enroll_none" not in symbols


@pytest.mark.skipif(find_spec("kconfiglib") is None, reason="kconfiglib is not installed")
def test_zephyrs_kconfig_has_the_defaults_of_the_macros(library: Path, tmp_path: Path) -> None:
    import kconfiglib

    (tmp_path / "Kconfig").write_text(
        f'config TENSORFLOW_LITE_MICRO\n\tdef_bool y\nsource "{library / "zephyr" / "Kconfig"}"\n'
    )
    symbols = kconfiglib.Kconfig(str(tmp_path / "Kconfig"), warn_to_stderr=False)
    assert not symbols.warnings
    symbols.syms["EDGE_META"].set_value("y")
    header = (LIBRARY / "edge_meta.h").read_text()
    for name in ("CLASSES", "SHOTS", "NONE", "ADAPT", "FLASH"):
        default = re.search(rf"#define EM_{name} (\d+)", header)
        assert default is not None
        value = symbols.syms[f"EDGE_META_{name}"].str_value
        assert {"y": "1", "n": "0"}.get(value, value) == default[1], name


@needs_board
def test_the_arduino_sketch_compiles(library: Path, tflm: Path, tmp_path: Path) -> None:
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    includes = [argument for part in THIRD_PARTY for argument in ("-isystem", f"{tflm}/tflm{part}")]
    flags = [flag for flag in CXX if flag != "-DTF_LITE_STATIC_MEMORY"]
    sketch = library / "examples" / "Classes" / "Classes.ino"
    command = ["arm-none-eabi-g++", *CPU, *flags, "-DARDUINO=10819", "-std=gnu++17", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{library / 'src'}", f"-I{tmp_path}", *includes, "-include", "Arduino.h", "-fsyntax-only", "-x", "c++"]
    run([*command, sketch])
