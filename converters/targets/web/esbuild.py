"""Bundle and minify the page's scripts by esbuild, which npm has as WebAssembly for all machines.

The page works without it, from more and larger files.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from converters.targets.web.npm import Package, Source
from edge_meta.errors import ExportError

PACKAGE = Package("esbuild-wasm", "0.28.2")
PROGRAM = "bin/esbuild"
FILES = {
    source.path: source
    for source in (
        Source(PACKAGE, PROGRAM, "b3cdaf234fd51a7908b2ffc4a84b3baa466656ccb2586498de4cc2f77b6f1e1e"),
        Source(PACKAGE, "esbuild.wasm", "b1831a5c0f6cf688034fb94d0419812f165ea316a3380d3fc00a151e562d2eaf"),
        Source(PACKAGE, "wasm_exec.js", "0c949f4996f9a89698e4b5c586de32249c3b69b7baadb64d220073cc04acba14"),
        Source(PACKAGE, "wasm_exec_node.js", "86b8ce546ecaa462544f3736adc4c19264eedd257c2ec427c9abc6debc1ee184"),
    )
}
# Of the page's scripts, those that are loaded by name; they take in the modules that they import.
ENTRIES = ("app.js", "worker.js", "sw.js", "recorder.js", "page.css")
OPTIONS = ("--minify", "--legal-comments=eof", "--log-level=error", "--outdir=out")


def bundled(files: Mapping[str, bytes], esbuild: Mapping[str, bytes]) -> dict[str, bytes]:
    """Make a site's scripts small.

    Args:
        files: of the site, by name.
        esbuild: the program's files, by path.

    Returns:
        The site's files, with one script for each of the page's threads in place of its modules.

    Raises:
        ExportError: esbuild fails, or there is no node to run it.
    """
    node = shutil.which("node")
    if node is None:
        raise ExportError("There is no node to run esbuild.", "Install node.")
    runtimes = [name for name in files if name.endswith("_internal.js")]  # which define what others find by name
    modules = [name for name in files if name.endswith((".js", ".css")) and name not in runtimes]
    with tempfile.TemporaryDirectory() as scratch:
        program, site = Path(scratch) / "esbuild", Path(scratch) / "site"
        for folder, contents in ((program, esbuild), (site, {name: files[name] for name in (*runtimes, *modules)})):
            for name, content in contents.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        for names, options in ((ENTRIES, ("--bundle", "--format=iife")), (runtimes, ())):
            command = [node, program / PROGRAM, *names, *options, *OPTIONS]
            done = subprocess.run(command, cwd=site, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ExportError(f"esbuild fails ({done.stderr.strip()[-200:]}).", "Export without esbuild-wasm.")
        made = {path.name: path.read_bytes() for path in (site / "out").iterdir()}
    return {name: content for name, content in files.items() if name not in modules} | made
