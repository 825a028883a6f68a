"""edge-meta check."""

from __future__ import annotations

from pathlib import Path

import click

from edge_meta.cli.common import emit, json_option, runtime_options, store_option
from edge_meta.cli.examples import Examples, note_domain
from edge_meta.cli.progress import note
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.classifier import Classifier


@click.command()
@click.argument("bundle")
@click.argument("folder", required=False)
@click.option("--report", metavar="FILE", help="Write a page with the mistakes and what looks alike, .html.")
@store_option
@runtime_options
@json_option
def check(
    bundle: str, folder: str | None, report: str | None, store: str | None, options: RuntimeOptions, as_json: bool
) -> None:
    """Count how often BUNDLE is right on your own examples.

    \b
    Examples:
      edge-meta check omniglot                      # each enrolled shot, by the others
      edge-meta check letters.bundle photos/test/   # each subfolder is a label
      edge-meta check letters.bundle photos/test/ --report check.html

    FOLDER holds one subfolder per label, with examples that were not enrolled. Subfolders of other names hold strangers:
    they should be called unknown. Files that cannot be read are left out, and listed.

    Without a FOLDER, each enrolled shot is left out in turn, and classified by the others. This needs two shots of a label,
    and a store that was not made with --no-shots.

    The share of strangers accepted that is to be expected comes from the enrolled shots, each label left out in turn. All
    shares have 95 % intervals (Wilson's). Nothing is changed.
    """
    from edge_meta import files
    from edge_meta.errors import InputError
    from edge_meta.evaluation.own_examples import check_examples, check_shots
    from edge_meta.inputs.image import ImageInput
    from edge_meta.inputs.thumbnails import thumbnail
    from edge_meta.reports.check_page import render
    from edge_meta.reports.check_text import facts, lines
    from edge_meta.reports.example_figures import Figures

    if report is not None and not Path(report).absolute().parent.is_dir():
        raise InputError(f"The folder of {report} does not exist.", "Make it first.")
    with Classifier.load(bundle, store, **vars(options)) as classifier:
        given = Examples(classifier)
        if folder is None:
            result = check_shots(classifier)
        else:
            result = check_examples(classifier, given.named(given.find_labels(folder)))
        note_domain(classifier)
        are_images = isinstance(classifier.bundle.manifest.input_spec, ImageInput)
    unreadable = given.report()
    if report is not None:
        figures = Figures(thumbnail) if are_images and folder is not None else None
        files.write_text(Path(report), render(result, bundle, folder, figures))
        note(f"{report} written")
    emit({**facts(result, folder), "unreadable": unreadable}, as_json, lines(result, folder))
