"""`export --target npu`, as far as it goes without a maker's SDK: the chip, the SDK, and what the compiler says."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.device import cli

from converters.targets import export_target
from converters.targets.phone_npu import MAKERS, SDKS, chip_of, chips, first_error
from edge_meta.errors import BackendError, ExportError
from edge_meta.runtime.bundle import Bundle

without_sdk = pytest.mark.skipif(
    any(find_spec(package) is not None for package in SDKS.values()), reason="a maker's SDK is installed"
)


def test_chips_of_every_maker_are_known() -> None:
    assert {chip.maker for chip in chips()} == set(MAKERS)
    assert chip_of("sm8750") == chip_of("SM8750")
    assert (chip_of("Tensor_G5").maker, chip_of("MT6991").maker) == ("google_tensor", "mediatek")
    assert len({chip.name for chip in chips()}) == len(chips())


@pytest.mark.parametrize("soc", ["abacus", None, "ALL"])
def test_an_unknown_chip_is_answered_by_the_known_ones(tmp_path: Path, soc: str | None) -> None:
    with pytest.raises(ExportError, match=r"Use --soc with one of .*SM8750.*Tensor_G5"):
        export_target(Bundle.open("omniglot"), tmp_path / "made", "npu", soc=soc)


@without_sdk
@pytest.mark.parametrize(
    ("soc", "package"),
    [("SM8750", "qualcomm"), ("MT6991", "mediatek"), ("Tensor_G5", "google-tensor"), ("E9965", "samsung"), ("LNL", "intel")],
)
def test_a_missing_sdk_is_named(tmp_path: Path, soc: str, package: str) -> None:
    with pytest.raises(BackendError, match=f"pip install ai-edge-litert-sdk-{package}$"):
        export_target(Bundle.open("omniglot"), tmp_path / "made", "npu", soc=soc)
    assert list(tmp_path.iterdir()) == []


@without_sdk
@pytest.mark.skipif(sys.platform != "linux", reason="LiteRT has its compilers for Linux")
def test_an_sdk_without_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packages" / "ai_edge_litert_sdk_google_tensor"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"def path_to_sdk_libs():\n    return {str(package)!r}\n")
    monkeypatch.syspath_prepend(str(package.parent))
    with pytest.raises(ExportError, match=r"Tensor_G5 refuses this encoder \(.*liblitert_plugin_compiler\.so"):
        export_target(Bundle.open("omniglot"), tmp_path / "made", "npu", soc="Tensor_G5")
    assert not (tmp_path / "made").exists()


def test_the_first_error_of_a_log_is_told_once(tmp_path: Path) -> None:
    log = tmp_path / "some.error"
    log.write_text("INFO: begin\nERROR: no library\nERROR: no plugin\n")
    message = f"it failed. See {log} for details."
    assert first_error(message) == "ERROR: no library"
    assert not log.exists()
    assert first_error(message) == message


@pytest.mark.parametrize("arguments", [("--target", "npu"), ("--target", "tflm", "--soc", "SM8750")])
def test_a_chip_goes_with_the_target_npu(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert cli("export", "omniglot", *arguments, "--output", tmp_path / "made", code=2).stdout == ""
