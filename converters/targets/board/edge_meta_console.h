/* A line protocol to teach a board from a desk: one command a line, one answer of one or more lines, the last of which begins
 * with "ok" or "error"; docs/board.md lists them. Numbers are decimal, floats the 8 hexadecimal digits of their bits. */
#ifndef EDGE_META_CONSOLE_H_
#define EDGE_META_CONSOLE_H_

#include "edge_meta_flash.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EM_CONSOLE_READ 128 /* bytes of flash in an answer at most */

/* Bytes of a line at most: an input or an embedding, and a label, or EM_CONSOLE_READ bytes of flash. */
#define EM_CONSOLE_LINE (2 * EM_CONSOLE_READ + 2 * EM_INPUT_BYTES + 8 * EM_DIM + EM_LABEL_BYTES + 32)

typedef struct {
  em_store* store;
#if EM_FLASH
  em_flash* flash; /* null to keep nothing */
#endif
  void (*put)(void* context, char character);
  /* Embeds an input of EM_INPUT_BYTES; returns 0 if that went well. Null if the board takes embeddings alone. */
  int (*embed)(void* context, const uint8_t* input, em_value* embedding);
  void* context;
  uint32_t arena_bytes; /* that the interpreter uses; 0 if it is not known */
} em_console;

/* Runs the command of a line, which ends in a zero, without a line feed. The line is overwritten. */
void em_console_run(const em_console* console, char* line);

#ifdef __cplusplus
}
#endif

#endif /* EDGE_META_CONSOLE_H_ */
