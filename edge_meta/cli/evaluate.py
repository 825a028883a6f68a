"""edge-meta evaluate."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_meta.choices import HEADS, SPLITS_AND_ALL
from edge_meta.cli.common import emit, given, json_option, runtime_options, solver_option
from edge_meta.cli.progress import Counter, note
from edge_meta.cli.run_report import write_evaluation_report
from edge_meta.datasets import names
from edge_meta.errors import InputError, RequirementError
from edge_meta.evaluation.protocol import EpisodeProtocol

if TYPE_CHECKING:
    from edge_meta.evaluation.evaluator import Evaluation
    from edge_meta.evaluation.open_set import OpenSet

USUAL = EpisodeProtocol()
SHARE = click.FloatRange(0.0, 1.0)


class PartType(click.ParamType[tuple[int, int]]):
    """A part of a number of parts, K/N."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if not isinstance(value, str):  # a default, already converted
            part: tuple[int, int] = value
            return part
        found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", value)
        if found is None:
            self.fail(f"{value!r} is no part; the second of four is 2/4.", param, ctx)
        return int(found[1]), int(found[2])


@click.command()
@click.argument("bundle")
@click.option("--dataset", required=True, metavar="D", help=f"{names.NAMES}.")
@click.option(
    "--split",
    default=USUAL.split,
    show_default=True,
    type=click.Choice(SPLITS_AND_ALL),
    help="Classes to draw from.",
)
@click.option("--way", default=USUAL.way, show_default=True, help="Classes in an episode.")
@click.option("--shot", default=USUAL.shot, show_default=True, help="Support examples of each class.")
@click.option("--query", default=USUAL.query, show_default=True, help="Query examples of each class.")
@click.option("--episodes", default=USUAL.episodes, show_default=True, help="Episodes to draw.")
@click.option("--seed", default=USUAL.seed, show_default=True, help="Seed of the draw.")
@click.option("--head", default="prototype", show_default=True, type=click.Choice(HEADS), help="Classify by this head.")
@solver_option
@click.option("--steps", type=int, help="Gradient steps of the linear head, at most.  [default: the bundle's]")
@click.option(
    "--within-alphabet", "--within-group", is_flag=True,
    help="Draw all classes of an episode from one alphabet (one group of the dataset), and its queries by other drawers "
    "than its support.",
)  # fmt: skip
@click.option("--strangers", metavar="D", help="Judge unknown, too, by strangers from this dataset, which may be the same.")
@click.option("--false-accept", type=float, help="Share of strangers that may be accepted.  [default: the bundle's]")
@click.option("--min-accuracy", type=SHARE, metavar="SHARE", help="Fail if the accuracy is lower, such as 0.9.")
@click.option(
    "--max-rejected-known", type=SHARE, metavar="SHARE",
    help="Fail if a larger share of the known queries is rejected as unknown; needs --strangers.",
)  # fmt: skip
@click.option(
    "--part", type=PartType(), metavar="K/N", help="Take the K-th of N parts of the episodes, each on a host of its own."
)
@click.option("--report", metavar="FILE", help="Write an HTML page: each episode, each class, mistakes, a map.")
@runtime_options
@json_option
def evaluate(
    bundle: str,
    dataset: str,
    min_accuracy: float | None,
    max_rejected_known: float | None,
    report: str | None,
    part: tuple[int, int] | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure BUNDLE's accuracy over episodes, as a device runs it: its own file, in a device's interpreter.

    \b
    Examples:
      edge-meta evaluate omniglot --dataset omniglot --way 5 --shot 1
      edge-meta evaluate omniglot --dataset lake    # Lake's 20 runs, where people err in 4.5 %
      edge-meta evaluate omniglot --dataset omniglot --within-alphabet --query 1    # like Lake's
      edge-meta evaluate omniglot --dataset omniglot --shot 5 --head linear    # after adapting
      edge-meta evaluate omniglot --dataset omniglot --shot 5 --strangers omniglot --false-accept 0.05
      edge-meta evaluate letters.bundle --dataset folder:photos --split all --way 5 --shot 3 --query 5
      edge-meta evaluate omniglot --dataset omniglot --report page.html
      edge-meta evaluate omniglot --dataset omniglot --way 5 --min-accuracy 0.9    # for CI

    Accuracy is closed-set (nothing is rejected as unknown): the mean over episodes, with its 95 % interval by the normal
    approximation. Strangers from the same dataset are of alphabets (groups) that the episode does not use; the threshold
    never sees them.

    lake fixes its episodes: it takes no option from --split to --seed, no --within-alphabet and no --strangers. It is for
    the final figure: choose nothing by it.

    With --part, each host judges a part of the same episodes, and embeds what they use alone. The accuracies in the JSON of
    all parts, one after the other, are those of the whole.

    With --min-accuracy or --max-rejected-known, the result is printed as ever, and the exit code is 1 if it is worse.
    """
    from edge_meta.evaluation.evaluator import evaluate
    from edge_meta.runtime.bundle import Bundle

    if part is not None and (report is not None or min_accuracy is not None):
        raise click.UsageError("--part takes no --report and no --min-accuracy: they are for the whole.")
    if max_rejected_known is not None and settings["strangers"] is None:
        raise click.UsageError("--max-rejected-known needs --strangers.")
    episodes = {field.name: settings.pop(field.name) for field in fields(EpisodeProtocol)}
    protocol = EpisodeProtocol(**episodes) if given(episodes) else None
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise InputError(f"The folder of {report} does not exist.", "Make it first.")
    opened = Bundle.open(bundle)
    done = evaluate(opened, dataset, protocol, **settings, on_progress=Counter("embedding"), part=part)
    result = {
        "dataset": dataset, **vars(done.protocol), "head": done.head, "solver": done.solver, "steps": done.steps,
        "backend": done.backend, "accuracy": done.accuracy.mean, "ci95": done.accuracy.ci95,
    }  # fmt: skip
    if part is not None:
        result |= {"part": f"{part[0]}/{part[1]}", "accuracies": done.judged.accuracies.tolist()}
    lines = [_summary(done)]
    if done.open_set is not None:
        result |= {"strangers": settings["strangers"], "false_accept_asked": done.open_set.asked}
        for key in ("auroc", "false_accept", "rejected_known"):
            interval = getattr(done.open_set, key)
            result |= {key: interval.mean, f"{key}_ci95": interval.ci95}
        lines.append(_strangers_summary(done.open_set, settings["strangers"]))
    if report is not None:
        write_evaluation_report(Path(report), opened, done)
        note(f"{report} written")
    emit(result, as_json, lines)
    _require(done, min_accuracy, max_rejected_known)


def _require(done: Evaluation, min_accuracy: float | None, max_rejected_known: float | None) -> None:
    """Raise RequirementError if a mean is worse than what was asked for."""
    missed = []
    if min_accuracy is not None and done.accuracy.mean < min_accuracy:
        missed.append(f"the accuracy, {done.accuracy}, is below {min_accuracy:.2%}")
    if max_rejected_known is not None and done.open_set and done.open_set.rejected_known.mean > max_rejected_known:
        rejected = done.open_set.rejected_known
        missed.append(f"the share of known queries that is rejected, {rejected}, is above {max_rejected_known:.2%}")
    if missed:
        cause = " and ".join(missed)
        raise RequirementError(f"{cause[0].upper()}{cause[1:]}.", "Find the change that made it worse, or ask for less.")


def _summary(done: Evaluation) -> str:
    """Accuracy and protocol in a line."""
    drawn = done.protocol
    solved = f" by {done.solver}" if done.solver else ""
    if done.steps:
        solved += f", at most {done.steps} steps"
    seed = "" if drawn.seed is None else f", seed {drawn.seed}"
    return (
        f"{done.accuracy}  {drawn.way}-way {drawn.shot}-shot, {drawn.query} queries, {drawn.episodes} episodes, "
        f"{drawn.split} classes of {done.dataset}{', within one group' * drawn.within_alphabet}, {done.head} head"
        f"{solved}, {done.backend}{seed}{f', part {done.part[0]} of {done.part[1]}' if done.part else ''}"
    )


def _strangers_summary(found: OpenSet, strangers: str) -> str:
    return (
        f"strangers of {strangers}, {found.asked:.1%} to be accepted: {found.false_accept} accepted, "
        f"{found.rejected_known} of known queries rejected, AUROC {found.auroc}"
    )
