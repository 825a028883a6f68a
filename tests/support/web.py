"""For tests of the web page: run its modules in node, and make a site without LiteRT.js."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from converters.targets.web import PAGE, esbuild
from converters.targets.web.litert_js import FILES, LiteRtJs
from converters.targets.web.npm import Source

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")

READ = """
import {readFileSync} from 'node:fs';
const asked = JSON.parse(readFileSync('asked.json', 'utf8'));
const unpacked = (text) => Uint8Array.from(Buffer.from(text, 'base64'));
const packed = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
const floats = (text) => new Float32Array(unpacked(text).buffer);
"""


def in_node(folder: Path, script: str, **asked: Any) -> Any:
    """Run a script beside the page's modules, which finds its arguments in `asked`; returns the JSON that it prints.

    Arrays are passed as the bytes of base64 text; the script has `unpacked`, `floats` and `packed`.
    """
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "asked.json").write_text(json.dumps(asked))
    (folder / "run.js").write_text(READ + script)
    done = subprocess.run(["node", "run.js"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def packed(values: Any) -> str:
    """The bytes of an array, or bytes, as base64 text."""
    return base64.b64encode(values if isinstance(values, bytes) else values.tobytes()).decode()


def unpacked(text: str) -> bytes:
    return base64.b64decode(text)


CONTENTS = {
    "litert.js": b'import {load} from "@litertjs/wasm-utils";\n//# sourceMappingURL=index.js.map\n',
    "wasm_utils.js": b"export const load = 1;\n",
    "litert_wasm_internal.js": b"var ModuleFactory = 1;\n",
    "litert_wasm_internal.wasm": bytes(3000),
}
WANTED = {
    name: Source(FILES[name].package, FILES[name].path, hashlib.sha256(content).hexdigest())
    for name, content in CONTENTS.items()
}
# Writes the options that it is called with in place of each script.
STAND_IN = b"""
const {mkdirSync, writeFileSync} = require('node:fs');
const given = process.argv.slice(2);
const [names, options] = [false, true].map((wanted) => given.filter((each) => each.startsWith('--') === wanted));
mkdirSync('out', {recursive: true});
for (const name of names) writeFileSync(`out/${name}`, `// ${options}\n`);
"""
TOOL = {esbuild.PROGRAM: Source(esbuild.PACKAGE, esbuild.PROGRAM, hashlib.sha256(STAND_IN).hexdigest())}


def library(folder: Path, archived: bool = False, with_esbuild: bool = False) -> LiteRtJs:
    """Stand-ins for LiteRT.js and esbuild: installed by npm in a folder, or as the archives of `npm pack`."""
    installed = {source: CONTENTS[name] for name, source in WANTED.items()}
    if with_esbuild:
        installed |= dict.fromkeys(TOOL.values(), STAND_IN)
    for source, content in installed.items():
        path = folder / "node_modules" / source.package.name / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if archived:
        for package in {source.package for source in installed}:
            with tarfile.open(folder / package.archive, "w:gz") as archive:
                archive.add(folder / "node_modules" / package.name, "package")
        (folder / "node_modules").rename(folder / "elsewhere")
    return LiteRtJs(folder, folder / "cache", WANTED, TOOL)
