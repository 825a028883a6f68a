"""Changes to a .tflite file: nothing but what was meant to change does."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters.tflite.edit import ALIGNMENT, encoder_alone, serialize, with_integer_ends
from converters.tflite.metadata import LABELS, with_labels, with_metadata
from converters.tflite.model import ModelFile, parse
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput

INPUT = ImageInput(16, 16)


def id_of(content: bytes) -> str:
    return ModelFile.parse(content).encoder_id(INPUT.to_manifest())


def output_of(content: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((1, 16, 16, 1), np.float32)


# --- editing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_a_file_is_the_same_after_unpacking_and_packing(converted: Callable[..., bytes], quantize: str) -> None:
    content = converted(quantize)
    again = serialize(parse(content))
    assert ModelFile.parse(again) == ModelFile.parse(content)
    assert serialize(parse(again)) == again


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_weights_lie_at_multiples_of_sixteen(converted: Callable[..., bytes], quantize: str) -> None:
    content = serialize(encoder_alone(converted(quantize)))
    model = schema.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    filled = [buffer for buffer in buffers if buffer.DataLength()]
    assert len(filled) > 8
    assert buffers[0].DataLength() == 0
    start = np.frombuffer(content, np.uint8).ctypes.data
    assert all((buffer.DataAsNumpy().ctypes.data - start) % ALIGNMENT == 0 for buffer in filled)


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_the_encoder_alone_is_smaller_and_embeds_the_same(
    converted: Callable[..., bytes], quantize: str, image: np.ndarray
) -> None:
    content = converted(quantize)
    alone = serialize(encoder_alone(content))
    assert ModelFile.parse(alone).signatures == {"embed": 0}
    assert len(ModelFile.parse(alone).subgraphs) == 1
    assert len(alone) < len(content) - 3000
    assert id_of(alone) == id_of(content)
    assert output_of(alone, image).tobytes() == output_of(content, image).tobytes()


def test_integer_ends_take_and_give_the_quantized_values(converted: Callable[..., bytes], image: np.ndarray) -> None:
    content = converted("int8")
    integer = serialize(with_integer_ends(encoder_alone(content)))
    full, bare = ModelFile.parse(content).subgraphs[0], ModelFile.parse(integer).subgraphs[0]
    assert [operator.name for operator in full] == ["QUANTIZE", *(operator.name for operator in bare), "DEQUANTIZE"]
    taken, given = bare[0].inputs[0], bare[-1].outputs[0]
    quantized = np.clip(np.round(image / taken.scales[0]) + taken.zero_points[0], -128, 127).astype(np.int8)
    found = output_of(integer, quantized)
    assert found.dtype == np.int8
    expected = output_of(content, image)
    np.testing.assert_array_equal((found - np.float32(given.zero_points[0])) * np.float32(given.scales[0]), expected)
    runner = Interpreter(model_content=integer).get_signature_runner("embed")
    np.testing.assert_array_equal(runner(image=quantized)["embedding"], found)


def test_an_encoder_in_float32_has_no_integer_ends(converted: Callable[..., bytes]) -> None:
    with pytest.raises(ExportError, match=r"not in int8 from end to end\. Export it with --quantize int8"):
        with_integer_ends(encoder_alone(converted("float32")))


# --- metadata ---------------------------------------------------------------------------------------------------------


class Table:
    """Reads a flatbuffer's table by the numbers of its fields, from the format's own description."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def word(self, at: int, size: int = 4) -> int:
        return int.from_bytes(self.data[at : at + size], "little")

    def field(self, number: int) -> int:
        """Where a field lies; 0 if it is not there."""
        table = self.at - int.from_bytes(self.data[self.at : self.at + 4], "little", signed=True)
        entry = 4 + 2 * number
        offset = self.word(table + entry, 2) if entry < self.word(table, 2) else 0
        return offset and self.at + offset

    def table(self, number: int) -> Table:
        return Table(self.data, self.field(number) + self.word(self.field(number)))

    def text(self, number: int) -> str:
        start = self.field(number) + self.word(self.field(number))
        return self.data[start + 4 : start + 4 + self.word(start)].decode()

    def items(self, number: int) -> list[Table]:
        start = self.field(number) + self.word(self.field(number))
        places = [start + 4 + 4 * index for index in range(self.word(start))]
        return [Table(self.data, place + self.word(place)) for place in places]

    def floats(self, number: int) -> list[float]:
        start = self.field(number) + self.word(self.field(number))
        return np.frombuffer(self.data, "<f4", self.word(start), start + 4).tolist()

    def code(self, number: int) -> int:
        return self.data[self.field(number)] if self.field(number) else 0


def metadata_in(content: bytes) -> Table:
    model = parse(content)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    data = bytes(bytearray(model.buffers[entry.buffer].data))
    assert data[4:8] == b"M001"
    return Table(data, int.from_bytes(data[:4], "little"))


@pytest.mark.parametrize("input_spec", [ImageInput(16, 16), ImageInput.for_shape((12, 20, 3))], ids=["gray", "colour"])
def test_metadata_tells_of_size_colours_and_normalization(converted: Callable[..., bytes], input_spec: ImageInput) -> None:
    root = metadata_in(with_metadata(converted("int8"), input_spec, 8, "MIT"))
    assert "16×16×1" in root.text(1) if input_spec.channels == 1 else "12×20×3" in root.text(1)
    assert root.text(5) == "MIT"
    (graph,) = root.items(3)
    (image,), (embedding,) = graph.items(2), graph.items(3)
    assert (image.text(0), embedding.text(0)) == ("image", "embedding")
    content = image.table(3)
    assert content.code(0) == 2  # image properties
    assert content.table(1).code(0) == (1 if input_spec.channels == 3 else 2)  # RGB, or grayscale
    size = content.table(1).table(1)
    assert (size.word(size.field(0)), size.word(size.field(1))) == (input_spec.width, input_spec.height)
    (step,) = image.items(4)
    assert step.code(0) == 1  # normalization
    (mean,), (std,) = step.table(1).floats(0), step.table(1).floats(1)
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose((pixels - mean) / std, input_spec.normalize(pixels), atol=1e-6)
    (largest,), (smallest,) = image.table(5).floats(0), image.table(5).floats(1)
    wanted = input_spec.normalize(np.array([[[0]], [[255]]], np.uint8))
    assert (largest, smallest) == pytest.approx((wanted.max(), wanted.min()))


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_metadata_leaves_the_encoder_and_its_id(converted: Callable[..., bytes], quantize: str, image: np.ndarray) -> None:
    content = converted(quantize)
    described = with_metadata(content, INPUT, 8, "MIT")
    assert ModelFile.parse(described) == ModelFile.parse(content)
    assert id_of(described) == id_of(content)
    assert output_of(described, image).tobytes() == output_of(content, image).tobytes()
    assert with_metadata(described, INPUT, 8, "MIT") == described
    assert metadata_in(with_metadata(described, INPUT, 8, "CC BY 4.0")).text(5) == "CC BY 4.0"


def test_labels_are_a_file_in_a_zip_after_the_model(converted: Callable[..., bytes], image: np.ndarray) -> None:
    content = with_labels(converted("int8"), INPUT, ["alef", "בית", "a b"], "MIT")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [LABELS]
        assert archive.read(LABELS).decode() == "alef\nבית\na b\n"
    (graph,) = metadata_in(content).items(3)
    (output,) = graph.items(3)
    (file,) = output.items(6)
    assert (file.text(0), file.code(2)) == (LABELS, 2)  # a label for each place of an axis
    assert output_of(content, image).tobytes() == output_of(converted("int8"), image).tobytes()
    assert with_labels(converted("int8"), INPUT, ["alef", "בית", "a b"], "MIT") == content
