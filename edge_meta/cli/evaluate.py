"""edge-meta evaluate."""

from __future__ import annotations

from typing import Any

import click

from edge_meta.choices import HEADS, SPLITS_AND_ALL
from edge_meta.cli.common import emit, json_option, runtime_options, solver_option
from edge_meta.cli.progress import Counter


@click.command()
@click.argument("bundle")
@click.option("--dataset", required=True, metavar="D", help="omniglot, glyphs, folder:PATH or npz:PATH.")
@click.option("--split", default="test", show_default=True, type=click.Choice(SPLITS_AND_ALL), help="Classes to draw from.")
@click.option("--way", default=20, show_default=True, help="Classes in an episode.")
@click.option("--shot", default=1, show_default=True, help="Support examples of each class.")
@click.option("--query", default=15, show_default=True, help="Query examples of each class.")
@click.option("--episodes", default=1000, show_default=True, help="Episodes to draw.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw.")
@click.option("--head", default="prototype", show_default=True, type=click.Choice(HEADS), help="Classify by this head.")
@solver_option
@click.option("--steps", type=int, help="Gradient steps of the linear head, at most.  [default: the bundle's]")
@click.option(
    "--within-alphabet", "--within-group", is_flag=True,
    help="Draw all classes of an episode from one alphabet (one group of the dataset), and its queries by other drawers "
    "than its support.",
)  # fmt: skip
@click.option("--strangers", metavar="D", help="Judge unknown, too, by strangers from this dataset (may be the same).")
@click.option("--false-accept", type=float, help="Share of strangers that may be accepted.  [default: the bundle's]")
@runtime_options
@json_option
def evaluate(bundle: str, as_json: bool, **protocol: Any) -> None:
    """Judge BUNDLE by episodes, as the device runs it: its own file, a device's interpreter.

    \b
    Examples:
      edge-meta evaluate omniglot --dataset omniglot --way 5 --shot 1
      edge-meta evaluate omniglot --dataset omniglot --within-alphabet --query 1    # Lake's task
      edge-meta evaluate omniglot --dataset omniglot --shot 5 --head linear    # after adapting
      edge-meta evaluate omniglot --dataset omniglot --shot 5 --strangers omniglot --false-accept 0.05
      edge-meta evaluate letters.bundle --dataset folder:photos --split all --way 5 --shot 3 --query 5

    Accuracy is closed-set (nothing is rejected as unknown), with the 95 % interval over episodes. Strangers from the same
    dataset are of alphabets (groups) that the episode does not use; the threshold never sees them.
    """
    from edge_meta.evaluation.evaluator import evaluate
    from edge_meta.runtime.bundle import Bundle

    done = evaluate(Bundle.open(bundle), **protocol, on_progress=Counter("embedding"))
    solved = f" by {done.solver}" if done.solver else ""
    if done.steps:
        solved += f", at most {done.steps} steps"
    result = {**vars(done), "accuracy": done.accuracy.mean, "ci95": done.accuracy.ci95}
    lines = [
        f"{done.accuracy}  {done.way}-way {done.shot}-shot, {done.query} queries, {done.episodes} episodes, "
        f"{done.split} classes of {done.dataset}{', within one group' * done.within_alphabet}, {done.head} head"
        f"{solved}, {done.backend}, seed {done.seed}"
    ]
    open_set = result.pop("open_set")
    if open_set is not None:
        result |= {"strangers": protocol["strangers"], "false_accept_asked": open_set.asked}
        for key in ("auroc", "false_accept", "rejected_known"):
            interval = getattr(open_set, key)
            result |= {key: interval.mean, f"{key}_ci95": interval.ci95}
        lines.append(
            f"strangers of {protocol['strangers']}, {open_set.asked:.1%} to be accepted: {open_set.false_accept} accepted, "
            f"{open_set.rejected_known} of known queries rejected, AUROC {open_set.auroc}"
        )
    emit(result, as_json, lines)
