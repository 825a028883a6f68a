"""Errors that a user can act on: each says the cause, then the remedy.

The command line prints them as one paragraph and exits with 1. Anything else that is raised is a defect of edge_meta.
"""


class EdgeMetaError(Exception):
    """A problem with what the user gave us.

    Args:
        cause: what is wrong, naming the file, label or value.
        remedy: what to do next, as a sentence.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy


class BundleError(EdgeMetaError):
    """A bundle is missing, damaged, or not of a format this version reads."""


class StoreError(EdgeMetaError):
    """A store cannot be opened, belongs to another encoder, or cannot be written."""


class InputError(EdgeMetaError):
    """An image or array is not what the encoder takes."""


class LabelError(EdgeMetaError):
    """A label or a shot is not enrolled, or too few are."""


class DatasetError(EdgeMetaError):
    """A dataset is missing, damaged, or too small for what is asked of it."""


class BackendError(EdgeMetaError):
    """No interpreter can run the encoder, or a needed package is not installed."""


class RegressionError(EdgeMetaError):
    """A benchmark is slower than an earlier one allows."""


class FallbackWarning(UserWarning):
    """A delegate could not be used, and the encoder runs on the CPU, as was asked for in that case."""


class TrainingError(EdgeMetaError):
    """A training run cannot start or go on as asked."""


class ExportError(EdgeMetaError):
    """A model cannot become a bundle, or the result failed its checks."""
