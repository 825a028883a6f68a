// Runs the encoder by TensorFlow Lite Micro; see edge_meta_interpreter.h.
#include "edge_meta_interpreter.h"

#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace edge_meta {
namespace {

constexpr TfLiteType kType = EM_INPUT_FLOATS ? kTfLiteFloat32 : kTfLiteInt8;
tflite::MicroInterpreter* interpreter = nullptr;

}  // namespace

const char* Begin(std::uint8_t* arena, std::size_t bytes) {
  const tflite::Model* model = tflite::GetModel(kEncoder);
  if (model->version() != TFLITE_SCHEMA_VERSION) return "the encoder's schema has another version";
  static tflite::MicroMutableOpResolver<kOperators> resolver;
  if (!AddOperators(resolver)) return "an operator cannot be had";
  static tflite::MicroInterpreter only(model, resolver, arena, bytes);
  interpreter = &only;
  if (interpreter->AllocateTensors() != kTfLiteOk) return "the arena is too small";
  const TfLiteTensor *input = interpreter->input(0), *output = interpreter->output(0);
  const std::size_t given = EM_DIM * (EM_INPUT_FLOATS ? sizeof(float) : 1);
  if (input->type != kType || input->bytes != EM_INPUT_BYTES || output->type != kType || output->bytes != given) {
    return "the encoder is not that of edge_meta_config.h, or TF_LITE_STATIC_MEMORY is not as in TensorFlow Lite Micro";
  }
  return nullptr;
}

int Embed(void*, const std::uint8_t* input, em_value* embedding) {
#if EM_INPUT_FLOATS
  std::memcpy(interpreter->input(0)->data.f, input, EM_INPUT_BYTES);
#else
  std::int8_t* quantized = interpreter->input(0)->data.int8;
  for (int i = 0; i < EM_INPUT_BYTES; ++i) quantized[i] = InputOfPixel(input[i]);
#endif
  if (interpreter->Invoke() != kTfLiteOk) return 1;
#if EM_INT8
  std::memcpy(embedding, interpreter->output(0)->data.int8, EM_DIM);
#elif EM_INPUT_FLOATS
  EmbeddingOfOutput(interpreter->output(0)->data.f, embedding);
#else
  EmbeddingOfOutput(interpreter->output(0)->data.int8, embedding);
#endif
  return 0;
}

std::size_t ArenaUsed() { return interpreter->arena_used_bytes(); }

}  // namespace edge_meta
