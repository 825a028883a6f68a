// Runs the encoder by TensorFlow Lite Micro.
#ifndef EDGE_META_INTERPRETER_H_
#define EDGE_META_INTERPRETER_H_

#include <cstddef>

#include "edge_meta.h"
#include "encoder.h"

namespace edge_meta {

// Bytes for Begin: CMSIS-NN needs scratch memory beyond what was measured with reference kernels.
constexpr std::size_t kArenaWithScratch = kArenaBytes + kArenaBytes / 4;

// Prepares the encoder in an arena that is aligned to 16 bytes and stays. Returns null, or what went wrong.
const char* Begin(std::uint8_t* arena, std::size_t bytes);

// Embeds an input after Begin, EM_INPUT_BYTES of pixels or of float32 values, as em_console takes it; returns 0 if that went
// well. Leave context null.
int Embed(void* context, const std::uint8_t* input, em_value* embedding);

// Returns the bytes of the arena that are used.
std::size_t ArenaUsed();

}  // namespace edge_meta

#endif  // EDGE_META_INTERPRETER_H_
