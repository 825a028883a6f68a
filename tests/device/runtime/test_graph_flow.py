"""A model whose operators read or write the wrong tensors is refused before an interpreter sees it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.tflite import FLOOR, flatbuffer

from edge_meta.errors import BundleError
from edge_meta.runtime.graph_check import read_graph
from edge_meta.runtime.graph_flow import check_inputs, check_scales


def model(
    steps: list[tuple[list[int], list[int]]], code: int = FLOOR, outputs: tuple[int, ...] = (3,), values: int = 4
) -> bytes:
    """A model of the operators; tensor 0 is its input, tensor 1 a constant, and the outputs are as given.

    Args:
        values: of tensor 2.
    """
    sizes = [4, 4, values, 4]
    tensors: list[dict[int, Any]] = [
        {0: [1, size], 2: int(index == 1), 3: f"tensor {index}"} for index, size in enumerate(sizes)
    ]
    graph = {0: tensors, 1: [0], 2: list(outputs), 3: [{0: 0, 1: given, 2: taken} for given, taken in steps]}
    return flatbuffer({0: 3, 1: [{0: code, 2: 1, 3: code}], 2: [graph], 4: [{}, {0: "0123456789abcdef"}]})


def test_operators_in_order_are_read() -> None:
    assert len(read_graph(model([([0, 1], [2]), ([2], [3])]))[0].operators) == 2


def test_a_tensor_without_values_may_be_written_or_not() -> None:
    for steps in ([([0], [2]), ([2], [3])], [([2], [3])]):
        assert len(read_graph(model(steps, values=0))[0].operators) == len(steps)
    with pytest.raises(BundleError, match="tensor 2 is written over"):
        read_graph(model([([0], [2]), ([0], [2]), ([0], [3])], values=0))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([([-1], [3])], "lacks its input 0"),
        ([([0], [-1])], "refers to tensor -1"),
        ([([2], [3])], "tensor 2 is read before it is written"),
        ([([2], [3]), ([0], [2])], "tensor 2 is read before it is written"),
        ([([0], [1]), ([0], [3])], "tensor 1 is written over"),
        ([([0], [0]), ([0], [3])], "tensor 0 is written over"),
        ([([0], [3]), ([0], [3])], "tensor 3 is written over"),
        ([([0], [2])], "the output 3 is never written"),
    ],
)
def test_a_graph_in_no_order_is_refused(steps: list[tuple[list[int], list[int]]], said: str) -> None:
    with pytest.raises(BundleError, match=f"malformed .*{said}"):
        read_graph(model(steps))


def test_optional_inputs_may_be_left_out() -> None:
    for code, inputs in ((9, [0, 1, -1]), (3, [0, 1, -1]), (67, [0, 1, 2, -1]), (44, [0, -1, 2]), (32, [-1])):
        check_inputs(code, inputs)
    for code, inputs in ((9, [0, -1, 2]), (67, [0, 1, -1, 2]), (44, [-1, 0]), (0, [0, -1])):
        with pytest.raises(ValueError, match="lacks its input"):
            check_inputs(code, inputs)


def test_scales_are_numbers_that_interpreters_divide_by() -> None:
    check_scales([0.0, 2.0**-126, 0.5, 1e30])
    for scale in (-0.5, 1e-45, math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="has the scale"):
            check_scales([0.5, scale])
