"""Cut a .tflite file down to the encoder, so that an accelerator compiles nothing that this package does not run.

The heads of a bundle are computed by NumPy here. CompiledModel would compile their signatures too, which takes time and
memory, and count their operators among those that an accelerator refuses.
"""

from __future__ import annotations

import struct

from edge_meta.runtime.flatbuffers import File, Table
from edge_meta.runtime.graph_check import MOST_PARTS, read_graph

SUBGRAPHS, SIGNATURES = 2, 7  # fields of the table Model
SUBGRAPH_OF_SIGNATURE = 4  # field of SignatureDef
CALLS = {117, 118, 119, 129}  # CALL, IF, WHILE and CALL_ONCE in BuiltinOperator, which run other subgraphs


def main_graph(model: bytes) -> bytes:
    """Return a .tflite file with subgraph 0 and one signature of it alone, or the file itself if subgraph 0 calls others.

    Only the lengths of two vectors change, and the first signature. The bytes of other subgraphs stay, unused.

    Raises:
        BundleError: see `read_graph`.
    """
    if CALLS & {operator.code for operator in read_graph(model)[0].operators}:
        return model
    root, cut = File(model, MOST_PARTS).root(), bytearray(model)
    _set_length(cut, root.vector(SUBGRAPHS, 4), 1)
    signatures = root.vector(SIGNATURES, 4)
    runs = root.tables(SIGNATURES, lambda signature: signature.number(SUBGRAPH_OF_SIGNATURE, "I"))
    if 0 in runs:
        _copy_to_front(cut, signatures[0], runs.index(0))
    if runs:
        _set_length(cut, signatures, int(0 in runs))
    return bytes(cut)


def keeps_state(model: bytes) -> bool:
    """Tell whether subgraph 0 has variables, which keep their values from one run to the next.

    Raises:
        BundleError: see `read_graph`.
    """
    read_graph(model)

    def variables(graph: Table) -> list[int]:
        return graph.tables(0, lambda tensor: tensor.number(5, "b"))

    return any(File(model, MOST_PARTS).root().tables(SUBGRAPHS, variables)[0])


def _set_length(file: bytearray, vector: tuple[int, int], length: int) -> None:
    struct.pack_into("<I", file, vector[0] - 4, length)


def _copy_to_front(file: bytearray, first: int, index: int) -> None:
    """Let the first offset of a vector point where another does; offsets count from where they stand."""
    (offset,) = struct.unpack_from("<I", file, first + 4 * index)
    struct.pack_into("<I", file, first, offset + 4 * index)
