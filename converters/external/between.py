"""Scale and offset of the values that one model of a chain hands to the next."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

from edge_meta.errors import ExportError


@dataclass(frozen=True)
class Between:
    """The next model takes x · scale + offset."""

    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, text: str) -> Between:
        """Read an expression that is linear in x, such as `x/10+2`.

        Raises:
            ExportError: it is none.
        """
        try:
            scale, offset = _linear(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
            scale, offset = 0.0, 0.0
        if scale == 0.0 or not (math.isfinite(scale) and math.isfinite(offset)):
            raise ExportError(f"{text!r} is no scale and offset of x.", "Write it as --between x/10+2.")
        return cls(scale, offset)

    def __str__(self) -> str:
        return f"x*{self.scale:g}{self.offset:+g}"


def _linear(node: ast.expr) -> tuple[float, float]:
    """Scale and offset of an expression; raises ValueError when it is not linear in x."""
    match node:
        case ast.Name(id="x"):
            return 1.0, 0.0
        case ast.Constant(value=int() | float() as value):
            return 0.0, float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            scale, offset = _linear(operand)
            return -scale, -offset
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as how, right=right):
            sign = 1.0 if isinstance(how, ast.Add) else -1.0
            (scale, offset), (more, further) = _linear(left), _linear(right)
            return scale + sign * more, offset + sign * further
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as how, right=right):
            (scale, offset), (more, factor) = _linear(left), _linear(right)
            if scale == 0.0 and isinstance(how, ast.Mult):
                (scale, offset), (more, factor) = (more, factor), (scale, offset)
            if more == 0.0:
                factor = factor if isinstance(how, ast.Mult) else 1.0 / factor
                return scale * factor, offset * factor
    raise ValueError("not linear in x")
