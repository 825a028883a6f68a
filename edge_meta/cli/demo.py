"""edge-meta demo: the whole job, on drawings from training on, or on photos with the shipped bundle."""

from __future__ import annotations

from pathlib import Path

import click

from edge_meta.cli.common import emit, given, json_option


@click.command()
@click.option(
    "--sense", default="drawings", show_default=True, type=click.Choice(["drawings", "photos"]),
    help="Train on drawings and use what was trained, or teach the objects bundle things by their pictures.",
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
    adapt, and time it all. On photos, in less than a minute: enroll things, classify, check, undo and forget.

    \b
    Examples:
      edge-meta demo
      edge-meta demo --sense photos
      edge-meta demo --dataset omniglot --output demo-omniglot

    Look at DIR/report.html afterwards; DIR/NAME.bundle can be used with the other verbs.

    With photos, nothing is trained: this needs no TensorFlow. No photos come with the package, so the pictures are computed,
    and are in DIR too.
    """
    folder = Path(output)
    if sense == "photos":
        from edge_meta.cli.demo_photos import account_of_photos, run_photos

        if given(["dataset"]):
            raise click.UsageError("--dataset is of drawings; --sense photos has pictures of its own.")
        result = run_photos(folder)
        emit(result, as_json, account_of_photos(result, folder))
        return
    from edge_meta.cli.demo_drawings import account, run_demo

    result = run_demo(dataset, folder)
    emit(result, as_json, account(result, folder))
