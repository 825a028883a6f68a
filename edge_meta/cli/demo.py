"""edge-meta demo: the whole job, on drawings from training on, or on photos, words or gestures with the
shipped bundles."""

from __future__ import annotations

from pathlib import Path

import click

from edge_meta.cli.common import emit, given, json_option


@click.command()
@click.option(
    "--sense", default="drawings", show_default=True, type=click.Choice(["drawings", "photos", "words", "gestures"]),
    help="Train on drawings and use what was trained, or teach a shipped bundle by photos, words or gestures.",
)  # fmt: skip
@click.option(
    "--dataset",
    default="glyphs",
    show_default=True,
    type=click.Choice(["glyphs", "omniglot"]),
    help="Learn from these drawings.",
)
@click.option("--output", default="demo", show_default=True, metavar="DIR", help="Where the results go.")
@json_option
def demo(sense: str, dataset: str, output: str, as_json: bool) -> None:
    """Do the whole job in a few minutes: meta-learn an encoder, export it, enroll classes that it never saw, classify,
    adapt, and time it all. On photos, words or gestures, in less than a minute: enroll, classify, check, undo and forget.

    \b
    Examples:
      edge-meta demo
      edge-meta demo --sense photos
      edge-meta demo --sense words --output demo-words
      edge-meta demo --dataset omniglot --output demo-omniglot

    Look at DIR/report.html afterwards; DIR/NAME.bundle can be used with the other verbs.

    With photos, words or gestures, nothing is trained: this needs no TensorFlow. No photos or recordings come with the
    package, so examples are computed, and are in DIR too. The page plays words, and a stream in which they are heard.
    """
    folder = Path(output)
    if sense != "drawings":
        from edge_meta.cli.demo_taught import account_of_taught, run_taught

        if given(["dataset"]):
            raise click.UsageError(f"--dataset is of drawings; --sense {sense} has examples of its own.")
        result = run_taught(sense, folder)
        emit(result, as_json, account_of_taught(result, folder))
        return
    from edge_meta.cli.demo_drawings import account, run_demo

    result = run_demo(dataset, folder)
    emit(result, as_json, account(result, folder))
