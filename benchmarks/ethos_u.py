"""Compile the shipped bundles for Arm's Ethos-U and write docs/ethos-u.md: needs pip install "edge-meta[ethos-u]".

    python benchmarks/ethos_u.py [--output docs/ethos-u.md]

Times and memory are Vela's estimates, so that the machine this runs on does not matter.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from converters.targets import export_target
from edge_meta.runtime.bundle import Bundle

BUNDLES = ("omniglot", "objects", "keywords", "gestures")
CONFIGS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-512", "ethos-u85-256")

PAGE = """\
# On an Arm Ethos-U

```console
$ pip install "edge-meta[ethos-u]"
$ edge-meta export omniglot --target ethos-u --output npu
$ edge-meta export objects --target ethos-u --ethos-u ethos-u65-512 --output npu65
$ edge-meta inspect npu
```

`npu/` is a bundle with the same encoder id, so its stores can be exchanged. Its `encoder.tflite` is compiled by
[Vela](https://pypi.org/project/ethos-u-vela/), Arm's compiler, for TensorFlow Lite Micro with the Ethos-U kernel and Arm's
driver. `vela.json` and the manifest's `target` hold what runs where, and Vela's estimates; `export` and `inspect` print it.

## The shipped bundles

`python benchmarks/ethos_u.py` makes this page with Vela {version}. **Times and memory are Vela's estimates, not measured:
nothing has been run on an Ethos-U.** Times do not include what the board's CPU runs.

{table}

* **NPU**: operators of the network in int8 that the NPU runs, of all that it has.
* **CPU, floats**: operators in float32, the front ends of sounds and series and what brings their embeddings to one length;
  TensorFlow Lite Micro runs them on the board's CPU.
* **SRAM** and **DRAM** hold what is computed, and on an Ethos-U65 or U85 DRAM also holds the weights. Of `keywords`, nearly
  all of it is the front end in floats.
* Clocks are those of the systems that Vela assumes:
  {systems}.

## What is rewritten

Vela leaves operators to the CPU that other targets run well. In this target's file, and in no other, they are written so
that the NPU runs them:

| operator | of | instead | equal? |
| --- | --- | --- | --- |
| REVERSE_V2, the mirrored view | `omniglot` | a convolution of 1×1 whose weights permute the columns | to the bit |
| MEAN over the maps of two views | `omniglot` | a depthwise convolution as large as a map | to the bit |
| L2_NORMALIZATION at the end | `objects` | left to the program, by `centre` and `scale` in the manifest | within a step |
| L2_NORMALIZATION before floats | `keywords` | computed in float32 | cosine at least 0.999 |

The last two do not round a unit vector to steps of 1/128. Each export compares both files on random inputs by TFLite's
reference kernels, and refuses what is not as near; the tests do so on hundreds. They also run the file before Vela in
TensorFlow Lite Micro: `omniglot` and `gestures` equal the reference kernels to the bit, `objects` within a step, `keywords`
by a cosine of at least 0.999. That an NPU gives the same as these cannot be checked here.

An encoder of your own may keep integer operators that run on the CPU: `export` lists them by name.
"""


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="Write the page there.  [default: print it]")
def main(output: Path | None) -> None:
    """Write the page."""
    targets = [compiled(name, config) for name in BUNDLES for config in CONFIGS]
    table = "\n".join([*HEAD, *(row(name, target) for name, target in targets)])
    estimates = [target["vela_estimates"] for _, target in targets]
    systems = dict.fromkeys(f"`{found['system']}` at {found['clock_mhz']:,} MHz" for found in estimates)
    page = PAGE.format(version=targets[0][1]["vela"], table=table, systems=", ".join(systems))
    if output is None:
        click.echo(page, nl=False)
    else:
        output.write_text(page, "utf-8")


HEAD = (
    "| bundle | configuration | NPU | CPU, floats | SRAM, KiB | DRAM, KiB | flash, KiB | cycles | ms |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def compiled(name: str, config: str) -> tuple[str, dict[str, Any]]:
    """Export a shipped bundle; returns its name and the manifest's field `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        made = export_target(Bundle.open(name), Path(scratch) / name, "ethos-u", ethos_u_config=config)
        return name, dict(made.manifest.target)


def row(name: str, target: dict[str, Any]) -> str:
    """A row of the table."""
    found, on_npu = target["vela_estimates"], sum(target["on_npu"].values())
    integer = on_npu + sum(target["on_cpu"].values()) - target["float_on_cpu"]
    memory = (f"{found[key] / 1024:,.0f}" for key in ("sram_bytes", "dram_bytes", "flash_bytes"))
    cells = (f"`{name}`", target["config"], f"{on_npu} of {integer}", str(target["float_on_cpu"]), *memory)
    return f"| {' | '.join(cells)} | {found['cycles']:,} | {found['milliseconds']:.3f} |"


if __name__ == "__main__":
    main()
