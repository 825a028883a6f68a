"""Measure the accuracy and the false-accept rate of migrated stores, on classes that neither encoder was trained on.

    python benchmarks/upgrade.py --pair OLD NEW [--pair ...] --dataset omniglot [--json]

Print both for each pair. NEW is a bundle that was exported with --upgrade-from OLD. In each episode the support set is
embedded by NEW's encoder (`own`), or by OLD's and then mapped as `edge-meta migrate` maps a store (`migrated`). `old` is
OLD's encoder alone, as before the upgrade. Queries and strangers are the same images each time; strangers are of groups
that the episode does not use. All figures are in per cent; `lost` is own − migrated on the same episodes, with its 95 %
interval.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click
import numpy as np

from edge_meta.datasets import load_dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.evaluation.open_set import judge_strangers
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import open_encoder


def evaluate(
    before: Bundle, after: Bundle, dataset: str, way: int, shots: list[int], query: int, episodes: int
) -> dict[str, Any]:
    """Return one pair's figures by shots."""
    old, data = _embedded(before, dataset)
    own, _ = _embedded(after, dataset)
    mapped = after.maps[before.manifest.encoder_id].embeddings(old)
    table = {}
    for shot in shots:
        sampler = EpisodeSampler(data, way, shot, query, seed=0)
        of_own, of_mapped = accuracies(own, sampler, episodes), accuracies(own, sampler, episodes, support=mapped)
        row: dict[str, Any] = {
            "old": _percent(Interval.of(accuracies(old, sampler, episodes))),
            "own": _percent(Interval.of(of_own)),
            "migrated": _percent(Interval.of(of_mapped)),
            "lost": _percent(Interval.of(of_own - of_mapped)),
        }
        rejection = after.manifest.rejection
        if rejection is not None:
            maps = {of.encoder_id: of for of in after.manifest.embedding_maps}
            scale = np.array(maps[before.manifest.encoder_id].threshold_scale)
            thresholds = np.array(rejection.thresholds) * scale[:, None, None]  # as of labels that have no other shots
            widened = replace(rejection, thresholds=tuple(tuple(map(tuple, of_shots)) for of_shots in thresholds.tolist()))
            for name, enrolled, limits in (("own", own, rejection), ("migrated", mapped, widened)):
                found = judge_strangers(own, sampler, episodes, prototype_head, limits, enrolled=enrolled)
                parts = ("auroc", "false_accept", "rejected_known")
                row[f"{name}_open_set"] = {part: _percent(getattr(found, part)) for part in parts} | {"asked": found.asked}
        table[str(shot)] = row
    return {"old": _described(before), "new": _described(after), "by_shots": table}


def _embedded(bundle: Bundle, dataset: str) -> tuple[Any, Any]:
    data = load_dataset(dataset, "test", bundle.manifest.input_spec)
    return embed_all(open_encoder(bundle), bundle.manifest.input_spec, data.examples), data


def _described(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    facts = {name: manifest.training.get(name) for name in ("encoder", "episodes", "mirror")}
    return {**facts, "dim": manifest.dim, "quantization": manifest.quantization, "encoder_id": manifest.encoder_id}


def _percent(interval: Interval) -> dict[str, float]:
    return {"mean": round(100 * interval.mean, 2), "ci95": round(100 * interval.ci95, 2)}


@click.command()
@click.option("--pair", "pairs", nargs=2, multiple=True, required=True, metavar="OLD NEW")
@click.option("--dataset", default="omniglot", help="Its test split is enrolled.")
@click.option("--way", default=20, help="Classes in an episode.")
@click.option("--shots", default=[1, 5], multiple=True, type=int)
@click.option("--query", default=15, help="Query examples of each class.")
@click.option("--episodes", default=1000)
@click.option("--json", "as_json", is_flag=True)
def main(pairs: list[tuple[str, str]], as_json: bool, **protocol: Any) -> None:
    """Evaluate migrated stores of each pair of bundles on episodes of a dataset."""
    protocol = {**protocol, "shots": list(protocol["shots"])}
    found = [evaluate(Bundle.open(old), Bundle.open(new), **protocol) for old, new in pairs]
    if as_json:
        click.echo(json.dumps({**protocol, "pairs": found}))
        return
    for pair in found:
        click.echo(f"{pair['old']['encoder']} → {pair['new']['encoder']}")
        for shot, row in pair["by_shots"].items():
            parts = [f"{name} {value['mean']} ± {value['ci95']}" for name, value in row.items() if "mean" in value]
            click.echo(f"  {shot} shots: {', '.join(parts)}")
            for name in ("own", "migrated"):
                rates = {part: value for part, value in row.get(f"{name}_open_set", {}).items() if part != "asked"}
                click.echo(f"    {name}: " + ", ".join(f"{part} {value['mean']}" for part, value in rates.items()))


if __name__ == "__main__":
    main()
