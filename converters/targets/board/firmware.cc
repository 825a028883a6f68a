// An example: the encoder and the classes behind the line protocol of edge_meta_console.h, kept in flash.
//
// The board's part is in firmware_port.h: four functions and the flash.
#include "edge_meta_console.h"
#include "encoder.h"
#include "firmware_port.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef ARENA_BYTES
// CMSIS-NN needs scratch memory beyond what was measured with reference kernels.
#define ARENA_BYTES (edge_meta::kArenaBytes + edge_meta::kArenaBytes / 4)
#endif

namespace {

alignas(16) std::uint8_t arena[ARENA_BYTES];
em_store store;
em_flash flash;
char line[EM_CONSOLE_LINE];

void Put(void*, char character) { PortWrite(character); }

void Say(const char* text) {
  for (; *text != '\0'; ++text) PortWrite(*text);
}

// Embeds an image of bytes 0 to 255; 0 if that went well.
int Embed(void* context, const std::uint8_t* image, em_value* embedding) {
  auto* interpreter = static_cast<tflite::MicroInterpreter*>(context);
  std::int8_t* input = interpreter->input(0)->data.int8;
  for (int i = 0; i < EM_INPUT_BYTES; ++i) input[i] = edge_meta::InputOfPixel(image[i]);
  if (interpreter->Invoke() != kTfLiteOk) return 1;
  const std::int8_t* output = interpreter->output(0)->data.int8;
#if EM_INT8
  for (int i = 0; i < EM_DIM; ++i) embedding[i] = output[i];
#else
  edge_meta::EmbeddingOfOutput(output, embedding);
#endif
  return 0;
}

// Reads a line; false if it was too long.
bool ReadLine() {
  std::size_t length = 0;
  for (;;) {
    const char character = PortRead();
    if (character == '\n') break;
    if (length < sizeof(line)) line[length] = character;
    ++length;
  }
  if (length >= sizeof(line)) return false;
  line[length] = '\0';
  return true;
}

}  // namespace

int main() {
  PortBegin();
  const tflite::Model* model = tflite::GetModel(edge_meta::kEncoder);
  if (model->version() != TFLITE_SCHEMA_VERSION) return Say("failed: the encoder's schema has another version\n"), 1;
  static tflite::MicroMutableOpResolver<edge_meta::kOperators> resolver;
  if (!edge_meta::AddOperators(resolver)) return Say("failed: an operator cannot be had\n"), 1;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return Say("failed: the arena is too small\n"), 1;
  const TfLiteTensor *input = interpreter.input(0), *output = interpreter.output(0);
  if (input->type != kTfLiteInt8 || input->bytes != EM_INPUT_BYTES || output->type != kTfLiteInt8 || output->bytes != EM_DIM) {
    return Say("failed: the encoder is not that of edge_meta_config.h\n"), 1;
  }
  const em_status opened = em_flash_open(&flash, &store, PortFlash(), PortRandom());
  Say("ready ");
  Say(em_status_name(opened));
  Say("\n");
  if (opened != EM_OK) return 1;
  const em_console console = {&store, &flash, Put, Embed, &interpreter,
                              static_cast<std::uint32_t>(interpreter.arena_used_bytes())};
  for (;;) {
    if (ReadLine()) {
      em_console_run(&console, line);
    } else {
      Say("error EM_BAD_ARGUMENT\n");
    }
  }
}
