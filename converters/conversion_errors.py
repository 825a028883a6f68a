"""Say in one sentence why TensorFlow's converter failed, and keep its log in a file."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edge_meta.errors import ExportError

MOST_NAMED = 5  # operators


@contextmanager
def conversion_errors_named(name: str) -> Iterator[None]:
    """Turn any error of the converter into an ExportError, and silence its interpreter's warning of its removal.

    Args:
        name: of what is converted, for the message.

    Raises:
        ExportError: the conversion failed.
    """
    try:
        with warnings.catch_warnings():
            # To calibrate, the converter uses an interpreter that warns of its removal.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
            yield
    # The converter raises errors of many types: its own, MLIR's and TensorFlow's.
    except Exception as error:
        log = str(error)
        with tempfile.NamedTemporaryFile("w", prefix="edge-meta-", suffix=".log", delete=False, encoding="utf-8") as file:
            file.write(log)
        cause, remedy = _cause(log, error)
        raise ExportError(f"{name} cannot be converted: {cause}.", f"{remedy} The converter's log is {file.name}") from None


def _cause(log: str, error: Exception) -> tuple[str, str]:
    """The cause, and a remedy as a sentence."""
    operators = sorted(set(re.findall(r"'tf\.(\w+)' op", log)) | set(re.findall(r"\btf\.(\w+)\(tensor<", log)))
    named = ", ".join(operators[:MOST_NAMED]) + (" and others" if len(operators) > MOST_NAMED else "")
    if re.search(r"x?b?f16\b", log):
        return (
            f"it computes in 16-bit floats{f' ({named})' if named else ''}, and TFLite's operators do not",
            'Save it again with its layers under keras.config.set_dtype_policy("float32").',
        )
    if operators:
        return f"TFLite has no operators for {named}", "Use layers that TFLite has operators for."
    lines = (line.strip().rstrip(".") for line in log.splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200], "Use layers that TFLite has operators for."
