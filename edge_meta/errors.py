"""Errors that a user can act on: each gives the cause, then the remedy.

The command line prints them as one paragraph and exits with 1. Any other exception is a defect of edge_meta.
"""

from edge_meta.text import printable


class EdgeMetaError(Exception):
    """A problem that the user can solve. Its text as a whole is printable, see `text`; its parts are as given.

    Args:
        cause: the problem, with the name of the file, label or value.
        remedy: the next thing to do, as a sentence.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(printable(f"{cause} {remedy}"))
        self.cause = cause
        self.remedy = remedy


class BundleError(EdgeMetaError):
    """A bundle is missing, damaged, or not of a format this version reads."""


class StoreError(EdgeMetaError):
    """A store cannot be opened, belongs to another encoder, or cannot be written."""


class OutputError(EdgeMetaError):
    """A path to write to is taken by something that is not a regular file."""


class InputError(EdgeMetaError):
    """An example or an argument is not what the encoder takes."""


class LabelError(EdgeMetaError):
    """A label or a shot is not enrolled, or too few labels are."""


class DatasetError(EdgeMetaError):
    """A dataset is missing, damaged, or too small for what is asked of it."""


class BackendError(EdgeMetaError):
    """No interpreter can run the encoder, or a needed package is not installed."""


class BoardError(EdgeMetaError):
    """A board on a serial line does not answer, refuses a command, or is of another encoder."""


class RegressionError(EdgeMetaError):
    """A benchmark is slower than an earlier one allows."""


class RequirementError(EdgeMetaError):
    """An evaluation does not reach the figures that were required of it."""


class EdgeMetaWarning(UserWarning):
    """Tell a user what happened beside what was asked for; the command line prints it as a note."""


class FallbackWarning(EdgeMetaWarning):
    """A delegate or an accelerator cannot be used, and the encoder runs on the CPU, as `fallback` asked for."""


class AcceleratorWarning(EdgeMetaWarning):
    """An accelerator runs only a part of the encoder, or is a program that runs on the CPU."""


class ColourWarning(EdgeMetaWarning):
    """A colour photo was given to an encoder that was trained on grey drawings."""


class MigrationWarning(EdgeMetaWarning):
    """A newer bundle has taken over the classes of its predecessor's store."""


class TrainingError(EdgeMetaError):
    """A training run cannot start or go on as asked."""


class ExportError(EdgeMetaError):
    """A model cannot become a bundle, or the result failed its checks."""
