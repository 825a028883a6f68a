"""Versions and hashes: floors under packages with known flaws, and what CI and the pages install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement

from converters.targets.web import esbuild, litert_js

ROOT = Path(__file__).parent.parent
CI = ROOT / ".ci"
DEVICE_SETS = ["device-litert.txt", "device-tflite.txt"]


def required(package: str) -> list[Requirement]:
    """All of pyproject.toml's requirements of a package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in found if requirement.name == package]


@pytest.mark.parametrize(
    ("package", "flawed", "floor"), [("pillow", ["10.2.0", "9.5"], "10.3.0"), ("keras", ["3.11.2", "3.5"], "3.11.3")]
)
def test_versions_with_known_flaws_are_not_allowed(package: str, flawed: list[str], floor: str) -> None:
    assert required(package)
    for requirement in required(package):
        assert [version for version in flawed if version in requirement.specifier] == []
        assert floor in requirement.specifier


@pytest.mark.parametrize("name", DEVICE_SETS)
def test_every_package_of_a_device_has_hashes(name: str) -> None:
    content = (CI / "constraints" / name).read_text("utf-8").replace("\\\n", "")
    lines = [line for line in content.splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+( +--hash=sha256:[0-9a-f]{64})+", line)] == []


@pytest.mark.parametrize("script", ["run", "test-arm"])
def test_device_environments_are_installed_by_hash(script: str) -> None:
    lines = [line for line in (CI / script).read_text("utf-8").splitlines() if " install " in line and "requirement" in line]
    assert lines
    assert [line for line in lines if "--require-hashes" not in line] == []


def test_readers_are_checked_with_the_library_that_is_exported() -> None:
    tested = re.findall(r"(@litertjs/core|esbuild-wasm)@([\d.]+)", (CI / "check-page").read_text("utf-8"))
    assert tested == [(package.name, package.version) for package in (litert_js.CORE, esbuild.PACKAGE)]
