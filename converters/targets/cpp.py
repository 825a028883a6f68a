"""Write an encoder as C++17 for a board's program: its bytes, its constants, and functions to quantize and dequantize."""

from __future__ import annotations

import math

from converters.targets.float_encoder import FloatEncoder
from converters.targets.integer import IntegerEncoder
from edge_meta.inputs import ImageInput
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.output_normalization import SHORTEST, OutputNormalization

HEADER, SOURCE = "encoder.h", "encoder.cc"

TEXT = """\
// Encoder {encoder_id}: {taken} in, {dim} values out. Made by edge-meta export --target tflm.
#ifndef EDGE_META_ENCODER_H_
#define EDGE_META_ENCODER_H_

// Without this macro, TfLiteTensor has another layout here than in TensorFlow Lite Micro's library, and all embeddings are
// nonsense. Arduino compiles all libraries without it.
#if !defined(TF_LITE_STATIC_MEMORY) && !defined(ARDUINO)
#error "Define TF_LITE_STATIC_MEMORY for the whole program, as for TensorFlow Lite Micro."
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace edge_meta {{

extern const unsigned char kEncoder[];  // the .tflite file, aligned to 16 bytes
constexpr std::size_t kEncoderBytes = {model_bytes};
constexpr char kEncoderId[] = "{encoder_id}";

// Measured with reference kernels and 64-bit pointers. A chip's own kernels may need more memory.
constexpr std::size_t kArenaBytes = {arena};

constexpr int kDim = {dim};
{ends}
{embedding}
// Registers the encoder's operators with a tflite::MicroMutableOpResolver<kOperators>; false if that fails for one.
constexpr unsigned int kOperators = {operators};
template <typename Resolver>
bool AddOperators(Resolver& resolver) {{
  return {registrations};
}}

}}  // namespace edge_meta

#endif  // EDGE_META_ENCODER_H_
"""

INTEGER_ENDS = """\
constexpr int kHeight = {height};
constexpr int kWidth = {width};
constexpr int kChannels = {channels};

constexpr float kPixelMean = {mean}f;
constexpr float kPixelScale = {scale}f;
constexpr float kInputScale = {input_scale}f;
constexpr int kInputZeroPoint = {input_zero};
constexpr float kOutputScale = {output_scale}f;
constexpr int kOutputZeroPoint = {output_zero};

// Converts a pixel, 0 to 255, to an input of the encoder. Rows from the top, pixels from the left{colours}.
inline std::int8_t InputOfPixel(std::uint8_t pixel) {{
  const float value = (static_cast<float>(pixel) - kPixelMean) * kPixelScale;
  const long quantized = std::lround(value / kInputScale) + kInputZeroPoint;
  return static_cast<std::int8_t>(quantized < -128 ? -128 : quantized > 127 ? 127 : quantized);
}}

// Converts an output of the encoder to a value of the embedding.
inline float ValueOfOutput(std::int8_t output) {{ return kOutputScale * static_cast<float>(output - kOutputZeroPoint); }}
"""

FLOAT_ENDS = """\
constexpr int kInputs = {inputs};  // float32 values of an input{axes}

// Returns an output of the encoder, which is float32.
inline float ValueOfOutput(float output) {{ return output; }}
"""

EMBEDDING = """\
// Brings an output, kDim values, to the embedding that the bundle's runtime gives.
inline void EmbeddingOfOutput(const {output_type}* output, float* embedding) {{
  for (int i = 0; i < kDim; ++i) embedding[i] = {factor}ValueOfOutput(output[i]);
}}
"""

CENTRED = """\
constexpr float kCentre[kDim] = {{{centre}}};

// Brings an output, kDim values, to the embedding that the bundle's runtime gives: centred, and of one length.
inline void EmbeddingOfOutput(const {output_type}* output, float* embedding) {{
  float squares = 0.0f;
  for (int i = 0; i < kDim; ++i) {{
    embedding[i] = ValueOfOutput(output[i]) - kCentre[i];
    squares += embedding[i] * embedding[i];
  }}
  const float factor = {length}f / std::max(std::sqrt(squares), {shortest}f);
  for (int i = 0; i < kDim; ++i) embedding[i] *= factor;
}}
"""

USAGE = """\
## On a microcontroller

`encoder.tflite` has the encoder alone, {ends} in and out, without the heads. `encoder.h` and `encoder.cc` are the same as
C++17 to compile in, next to TensorFlow Lite Micro, which was measured to need an arena of {arena:,} bytes (reference
kernels, 64-bit pointers). `edge_meta_interpreter.h` runs it:

```cpp
alignas(16) static std::uint8_t arena[edge_meta::kArenaWithScratch];
const char* failed = edge_meta::Begin(arena, sizeof(arena));  // null, or what went wrong
em_value embedding[EM_DIM];
if (edge_meta::Embed(nullptr, input, embedding) != 0) return 1;
em_enroll(&store, "a label", embedding, nullptr);
```
"""


def header(manifest: Manifest, encoder: IntegerEncoder | FloatEncoder, arena_bytes: int) -> str:
    """Write encoder.h."""
    names = sorted({operator.name for operator in encoder.operators})
    input_spec = manifest.input_spec
    if isinstance(encoder, FloatEncoder):
        shape, output_type = "x".join(map(str, input_spec.shape)), "float"
        taken, ends = f"{shape} float32 values", FLOAT_ENDS.format(inputs=math.prod(input_spec.shape), axes=f", {shape}")
    else:
        assert isinstance(input_spec, ImageInput)
        output_type, ends = "std::int8_t", _integer_ends(input_spec, encoder)
        taken = f"{input_spec.height}x{input_spec.width}x{input_spec.channels} pixels"
    return TEXT.format(
        encoder_id=manifest.encoder_id,
        taken=taken,
        dim=manifest.dim,
        model_bytes=len(encoder.model),
        arena=arena_bytes,
        ends=ends,
        embedding=_embedding(manifest.normalization, output_type),
        operators=len(names),
        registrations=" &&\n         ".join(f"static_cast<int>(resolver.{_method(name)}()) == 0" for name in names),
    )


def _integer_ends(input_spec: ImageInput, encoder: IntegerEncoder) -> str:
    return INTEGER_ENDS.format(
        height=input_spec.height,
        width=input_spec.width,
        channels=input_spec.channels,
        colours=", red, green and blue of each" if input_spec.channels == 3 else "",
        mean=_literal(input_spec.mean),
        scale=_literal(input_spec.scale),
        input_scale=_literal(encoder.input.scale),
        input_zero=encoder.input.zero_point,
        output_scale=_literal(encoder.output.scale),
        output_zero=encoder.output.zero_point,
    )


def _embedding(outside: OutputNormalization | None, output_type: str) -> str:
    """Write EmbeddingOfOutput."""
    if outside is None or outside.centre is None:
        factor = "" if outside is None else f"{_literal(outside.scale)}f * "
        return EMBEDDING.format(factor=factor, output_type=output_type)
    centre = ", ".join(f"{_literal(value)}f" for value in outside.centre)
    return CENTRED.format(
        centre=centre, length=_literal(outside.scale), shortest=_literal(SHORTEST), output_type=output_type
    )


def source(model: bytes) -> str:
    """Write encoder.cc."""
    rows = (model[start : start + 16] for start in range(0, len(model), 16))
    data = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    return (
        f'#include "{HEADER}"\n\nnamespace edge_meta {{\n\n'
        f"alignas(16) extern const unsigned char kEncoder[kEncoderBytes] = {{\n{data}\n}};\n\n"
        "}  // namespace edge_meta\n"
    )


def _literal(value: float) -> str:
    """A C++ floating literal without its suffix; nine digits reproduce a float32 exactly."""
    text = f"{value:.9g}"
    return text if any(mark in text for mark in ".e") else f"{text}.0"


def _method(name: str) -> str:
    """TensorFlow Lite Micro's method that registers an operator: CONV_2D → AddConv2D."""
    return "Add" + "".join(f"{part[:-1]}D" if part == "2D" else part.capitalize() for part in name.split("_"))
