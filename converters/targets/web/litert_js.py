"""The files of LiteRT.js, which runs encoders in a browser, and of esbuild, which makes the page's scripts small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converters.targets.web import esbuild, npm
from converters.targets.web.npm import Package, Source

VERSION = "2.5.3"
CORE, WASM_UTILS = (Package(f"@litertjs/{name}", VERSION) for name in ("core", "wasm-utils"))
SOURCE_MAP = b"//# sourceMappingURL=index.js.map"


# By name in the site. Of the four builds, the page loads that with threads where it may have them, else the plain one, or
# compat in browsers without relaxed SIMD.
FILES = {
    "litert.js": Source(CORE, "dist/index.js", "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3"),
    "wasm_utils.js": Source(WASM_UTILS, "dist/index.js", "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2"),
    "litert_wasm_internal.js": Source(
        CORE, "wasm/litert_wasm_internal.js", "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb"
    ),
    "litert_wasm_internal.wasm": Source(
        CORE, "wasm/litert_wasm_internal.wasm", "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614"
    ),
    "litert_wasm_compat_internal.js": Source(
        CORE, "wasm/litert_wasm_compat_internal.js", "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5"
    ),
    "litert_wasm_compat_internal.wasm": Source(
        CORE, "wasm/litert_wasm_compat_internal.wasm", "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c"
    ),
    "litert_wasm_threaded_internal.js": Source(
        CORE, "wasm/litert_wasm_threaded_internal.js", "92fe7a720c6deedaa1194c011c79a005ea4f6fc98f533b661cf7900760ab4849"
    ),
    "litert_wasm_threaded_internal.wasm": Source(
        CORE, "wasm/litert_wasm_threaded_internal.wasm", "b5e54eca10f043497edf9a02186332707cae260c550d7ea22b2cae55669596cf"
    ),
}


@dataclass(frozen=True)
class LiteRtJs:
    """Where LiteRT.js is taken from, and esbuild.

    Attributes:
        source: a folder in which the packages are installed, or where the archives of `npm pack` lie, or one of these
            archives; None for the cache, which npm fills.
        cache: the folder of the archives that npm has fetched.
        wanted: the library's files, by name in the site.
        tool: esbuild's files, by path.
    """

    source: Path | None = None
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "edge_meta" / "npm")
    wanted: Mapping[str, Source] = field(default_factory=lambda: FILES)
    tool: Mapping[str, Source] = field(default_factory=lambda: esbuild.FILES)

    def read(self) -> dict[str, bytes]:
        """The library's files by name in the site, ready to be served from one folder.

        Raises:
            ExportError: they are not there, not those of the tested version, or npm cannot fetch them.
        """
        remedy = f"Give a folder where this was run: npm install @litertjs/core@{VERSION}"
        if self.source is None:
            npm.fetch(
                self.cache,
                (CORE, WASM_UTILS),
                "Install npm and connect to the network, or give what "
                f"npm install @litertjs/core@{VERSION} made: --litert-js FOLDER",
            )
            remedy = f"Remove {self.cache}, and export again."
        found = npm.read(self._folder, self.wanted, remedy)
        # Packages import each other by a name that only a build tool resolves.
        return {
            name: content.replace(b'"@litertjs/wasm-utils"', b'"./wasm_utils.js"').replace(SOURCE_MAP, b"")
            for name, content in found.items()
        }

    def read_esbuild(self) -> dict[str, bytes]:
        """The files of esbuild by path, from where the library is.

        Raises:
            ExportError: as for the library.
        """
        if self.source is None:
            npm.fetch(self.cache, (esbuild.PACKAGE,), "Install npm and connect to the network.")
        return npm.read(self._folder, self.tool, f"Install it there: npm install esbuild-wasm@{esbuild.PACKAGE.version}")

    @property
    def _folder(self) -> Path:
        if self.source is None:
            return self.cache
        return self.source.parent if self.source.is_file() else self.source
