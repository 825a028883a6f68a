/* A line protocol to teach a board from a desk: one command a line, one answer of one or more lines, the last of which begins
 * with "ok" or "error"; docs/board.md lists them. Numbers are decimal, floats the 8 hexadecimal digits of their bits. */
#ifndef EDGE_META_CONSOLE_H_
#define EDGE_META_CONSOLE_H_

#include "edge_meta_flash.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  em_store* store;
#if EM_FLASH
  em_flash* flash; /* null to keep nothing */
#endif
  void (*put)(void* context, char character);
  /* Embeds an input of EM_INPUT_BYTES; returns 0 if that went well. Null if the board takes embeddings alone. */
  int (*embed)(void* context, const uint8_t* input, em_value* embedding);
  void* context;
} em_console;

/* Runs the command of a line, which ends in a zero, without a line feed. The line is overwritten. */
void em_console_run(const em_console* console, char* line);

#ifdef __cplusplus
}
#endif

#endif /* EDGE_META_CONSOLE_H_ */
