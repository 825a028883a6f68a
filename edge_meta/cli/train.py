"""edge-meta train."""

from __future__ import annotations

import os
from typing import Any

import click

from edge_meta.choices import ENCODERS, METHODS, PRECISIONS, TRAINING_SPLITS
from edge_meta.cli.common import emit, given, json_option
from edge_meta.cli.progress import TrainingProgress, note
from edge_meta.cli.run_report import write_run_report
from edge_meta.cli.training_plan import planned
from edge_meta.errors import TrainingError


@click.command()
@click.option(
    "--dataset",
    default="omniglot",
    show_default=True,
    help="omniglot, glyphs, folder:PATH, npz:PATH, csv:PATH, huggingface:PATH or shards:PATH.",
)
@click.option(
    "--split", default="train", show_default=True, type=click.Choice(TRAINING_SPLITS),
    help="Classes of your own data to train on. all: every class, for few of them; a fifth of the examples of each is held "
    "back to validate on.",
)  # fmt: skip
@click.option("--method", default="protonet", show_default=True, type=click.Choice(METHODS), help="Train by this method.")
@click.option(
    "--encoder", default="conv4", show_default=True, type=click.Choice(ENCODERS), metavar="NAME",
    help=f"Train this network: {', '.join(ENCODERS)}.",
)  # fmt: skip
@click.option(
    "--dim", type=int, metavar="VALUES",
    help="End the encoder in a linear layer of so many values; for the encoders of photos, dscnn and tcn.",
)  # fmt: skip
@click.option("--image-size", default=28, show_default=True, metavar="PIXELS", help="Height and width of the input.")
@click.option("--rgb/--no-rgb", default=False, help="Train on colours; grayscale otherwise.")
@click.option(
    "--channels", default="", metavar="NAME,...", callback=lambda context, parameter, text: [*filter(None, text.split(","))],
    help="Columns of series, for tcn; a device then takes any of these.  [default: those of your data]",
)  # fmt: skip
@click.option("--way", default=100, show_default=True, help="Classes in a training episode.")
@click.option("--shot", default=1, show_default=True, help="Support examples of each class.")
@click.option("--query", default=2, show_default=True, help="Query examples of each class.")
@click.option("--episodes", default=3500, show_default=True, help="Training episodes in all.")
@click.option(
    "--learning-rate", default=3e-3, show_default=True, help="Adam's learning rate at the start of a cosine decay."
)
@click.option(
    "--rotations/--no-rotations", default=None,
    help="Count each class turned by 90, 180 and 270 degrees as more classes.  [default: for omniglot only]",
)  # fmt: skip
@click.option("--reflections", is_flag=True, help="Count each class mirrored as one more class.")
@click.option(
    "--whole-groups", default=0.0, show_default=True, metavar="SHARE",
    help="Make this share of episodes of whole alphabets (groups of the dataset), whose classes are harder to tell apart.",
)  # fmt: skip
@click.option(
    "--augment/--no-augment",
    default=False,
    help="Distort each example by itself: drawings by affine and elastic maps and stroke width, images in colour by crops, "
    "mirroring and colours, recordings by shift, speed, gain and noise, series by pace, size and noise. Train longer then.",
)
@click.option("--tasks", default=1, show_default=True, help="Episodes in one step of the outer loop.")
@click.option("--inner-steps", default=5, show_default=True, help="Gradient steps of the inner loop, where there is one.")
@click.option(
    "--inner-learning-rate",
    default=0.1,
    show_default=True,
    help="Learning rate of the inner loop; protomaml and protoanil learn it further.",
)
@click.option(
    "--transductive",
    is_flag=True,
    help="Normalize queries by their own batch, as Finn et al. 2017 do; for all of the maml family and reptile.",
)
@click.option(
    "--precision", default="float32", show_default=True, type=click.Choice(PRECISIONS),
    help="Precision of the encoder's arithmetic; weights stay float32. bfloat16 is faster on GPUs that have it.",
)  # fmt: skip
@click.option("--xla", is_flag=True, help="Compile the step with XLA, on one device. Faster on some GPUs, not on CPUs.")
@click.option(
    "--start",
    metavar="PATH",
    help="Begin with the encoder of another run or of a .keras or .weights.h5 file, with the ImageNet weights (.pth) of an "
    "EfficientNet-Lite, with the shipped encoder of photos (objects, for photo12), or, for a MobileNet, with the ImageNet "
    "weights that Keras downloads: imagenet.",
)
@click.option(
    "--teacher", "teachers", multiple=True, metavar="PATH",
    help="Learn the embeddings of this run or .pth, with --method distill; several are joined.",
)  # fmt: skip
@click.option("--teacher-size", default=192, show_default=True, metavar="PIXELS", help="Image size of a .pth teacher.")
@click.option(
    "--minutes", type=click.FloatRange(min=0.0, min_open=True),
    help="End after this time, judged and saved; --resume goes on. On one host only.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of weights, episodes and augmentation.")
@click.option("--output", required=True, metavar="RUN", help="The run's folder; made if it is not there.")
@click.option("--resume", is_flag=True, help="Go on with the run in RUN; its own settings count.")
@json_option
def train(output: str, resume: bool, minutes: float | None, as_json: bool, **settings: Any) -> None:
    """Meta-train an encoder into the folder RUN.

    \b
    Examples:
      edge-meta train --output runs/omniglot             # six minutes on two current cores
      edge-meta train --dataset glyphs --way 20 --episodes 300 --output runs/try
      edge-meta train --dataset folder:photos --output runs/photos     # settings by the data
      edge-meta train --dataset folder:words --output runs/words       # recordings
      edge-meta train --method maml --way 5 --shot 1 --query 15 --tasks 4 --output runs/maml
      edge-meta train --output runs/omniglot --resume    # after an interruption
      edge-meta train --output runs/omniglot --minutes 10

    The folder holds the encoder (best on validation classes), the curve, a checkpoint, report.html, and run.json, which says
    how it was made. Ctrl-C saves a checkpoint first. After the first steps, the time that the others take is printed. The
    learning rate decays over all --episodes, so ask for as many as the time allows.

    Your own data (all but shards:) chooses what you leave open of size, colours, channels, encoder, start, way, shot, query,
    episodes, learning rate and augmentation; the plan is printed first. Recordings train dscnn, series (.csv, .npy)
    tcn. The defaults above are for drawings like Omniglot's.

    Several GPUs share the tasks of a step (--tasks must be a multiple of them); several hosts do, too, if each runs this
    command with its own TF_CONFIG and all see the folder RUN.
    """
    from edge_meta.training.config import TrainingConfig
    from edge_meta.training.pipeline import train
    from edge_meta.training.run import RunFolder

    if resume:
        asked = RunFolder(output).facts()["asked"]
        if unknown := sorted(asked.keys() - settings.keys()):
            raise TrainingError(
                f"{output} was started with settings that this version does not have: {', '.join(unknown)}.",
                "Go on with the edge_meta that started it, or start anew with another --output.",
            )
        settings = asked | {key: settings[key] for key in given(settings)}
    else:
        settings |= planned(settings)
    if "TF_CONFIG" in os.environ:
        if minutes is not None:
            raise click.UsageError("--minutes is for one host: leave it out with TF_CONFIG.")
        note("Waiting until all workers of TF_CONFIG have started, an hour at most")
    run = train(TrainingConfig(**settings), output, resume, TrainingProgress(), minutes=minutes)
    done = settings["episodes"] if minutes is None else run.curve()[-1]["episode"]
    if done < settings["episodes"]:
        note(f"Ended after {minutes:g} min at episode {done} of {settings['episodes']}; saved. Go on with --resume.")
    best = run.best() or {}
    result = {
        "run": str(run.path),
        "encoder": str(run.encoder),
        "episodes": done,
        "val_accuracy": best.get("val_accuracy"),
        "val_ci95": best.get("val_ci95"),
    }
    lines = [f"Encoder: {run.encoder}"]
    if "TF_CONFIG" not in os.environ:  # of several hosts, each would write it
        lines.append(f"Report:  {write_run_report(run)}")
    emit(result, as_json, [*lines, f"Next:    edge-meta export {output} --output NAME.bundle"])
