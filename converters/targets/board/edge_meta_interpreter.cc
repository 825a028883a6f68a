// Runs the encoder by TensorFlow Lite Micro; see edge_meta_interpreter.h.
#include "edge_meta_interpreter.h"

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace edge_meta {
namespace {

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
  if (input->type != kTfLiteInt8 || input->bytes != EM_INPUT_BYTES || output->type != kTfLiteInt8 || output->bytes != EM_DIM) {
    return "the encoder is not that of edge_meta_config.h, or TF_LITE_STATIC_MEMORY is not as in TensorFlow Lite Micro";
  }
  return nullptr;
}

int Embed(void*, const std::uint8_t* input, em_value* embedding) {
  std::int8_t* quantized = interpreter->input(0)->data.int8;
  for (int i = 0; i < EM_INPUT_BYTES; ++i) quantized[i] = InputOfPixel(input[i]);
  if (interpreter->Invoke() != kTfLiteOk) return 1;
  const std::int8_t* output = interpreter->output(0)->data.int8;
#if EM_INT8
  for (int i = 0; i < EM_DIM; ++i) embedding[i] = output[i];
#else
  EmbeddingOfOutput(output, embedding);
#endif
  return 0;
}

std::size_t ArenaUsed() { return interpreter->arena_used_bytes(); }

}  // namespace edge_meta
