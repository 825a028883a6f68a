"""The pages that edge-meta train leaves in the folder of a run, and that edge-meta evaluate writes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_meta import __version__, files

if TYPE_CHECKING:
    from edge_meta.evaluation.evaluator import Evaluation
    from edge_meta.runtime.bundle import Bundle
    from edge_meta.training.run import RunFolder

REPORT = "report.html"
EPISODES = 200  # as many as a validation has


def write_run_report(run: RunFolder) -> Path:
    """Judge a run's encoder on its validation data, and write its page; returns the page's path.

    Raises:
        EdgeMetaError: the run, its encoder or its data cannot be read.
    """
    from edge_meta.datasets.episodes import EpisodeSampler
    from edge_meta.datasets.training_splits import load_validation
    from edge_meta.evaluation.judged_episodes import judge_episodes
    from edge_meta.inputs import input_from_manifest
    from edge_meta.reports.episodes_page import render
    from edge_meta.training.embeddings import embed_images
    from edge_meta.training.pipeline import VALIDATION_SEED

    facts = run.facts()
    asked = facts["asked"]
    spec = input_from_manifest(facts["made"]["input"])
    data = load_validation(asked["dataset"], asked.get("split", "train"), spec)
    way, shot, query = data.protocol(asked["shot"])
    sampler = EpisodeSampler(data, way, shot, query, VALIDATION_SEED)
    judged = judge_episodes(embed_images(run.load_encoder(), spec, data.examples), data, sampler, EPISODES)
    protocol = f"{way}-way {shot}-shot, {query} queries, {EPISODES} episodes of validation data, prototypes"
    made = {
        "command": shlex.join(facts["command"]),
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "host": f"{facts['host']['platform']}, {facts['host']['cores']} cores",
        "encoder": f"{asked['encoder']}, {facts['made']['parameters']:,} parameters, {facts['made']['dim']} values out",
    }
    page = run.path / REPORT
    title = f"{asked['method']} on {asked['dataset']}"
    files.write_text(page, render(title, protocol, judged, made, run.curve()))
    return page


def write_evaluation_report(page: Path, bundle: Bundle, done: Evaluation) -> None:
    """Write the page of an evaluation."""
    from edge_meta.reports.episodes_page import render

    drawn = done.protocol
    protocol = (
        f"{drawn.way}-way {drawn.shot}-shot, {drawn.query} queries, {drawn.episodes} episodes of {drawn.split} classes, "
        f"{done.head} head, {done.backend}"
    )
    made = {
        "command": shlex.join(["edge-meta", *sys.argv[1:]]),
        "version": f"edge_meta {__version__}",
        "bundle": f"{bundle.name}, {bundle.manifest.quantization}, encoder {bundle.manifest.encoder_id}",
    }
    parity = bundle.manifest.parity
    files.write_text(page, render(f"{bundle.name} on {done.dataset}", protocol, done.judged, made, (), parity))
