// An example: the encoder and the classes behind the line protocol of edge_meta_console.h, kept in flash.
//
// The board's part is in firmware_port.h: four functions and the flash.
#include "edge_meta_console.h"
#include "edge_meta_interpreter.h"
#include "firmware_port.h"

#ifndef ARENA_BYTES
#define ARENA_BYTES edge_meta::kArenaWithScratch
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
  const char* failed = edge_meta::Begin(arena, sizeof(arena));
  if (failed != nullptr) return Say("failed: "), Say(failed), Say("\n"), 1;
  const em_status opened = em_flash_open(&flash, &store, PortFlash(), PortRandom());
  Say("ready ");
  Say(em_status_name(opened));
  Say("\n");
  if (opened != EM_OK) return 1;
  const em_console console = {
      &store, &flash, Put, edge_meta::Embed, nullptr, static_cast<std::uint32_t>(edge_meta::ArenaUsed())};
  for (;;) {
    if (ReadLine()) {
      em_console_run(&console, line);
    } else {
      Say("error EM_BAD_ARGUMENT\n");
    }
  }
}
