// Teach a board over its serial line: edge-meta board teach BUNDLE LABEL FILE --port PORT. The classes are in RAM, and gone
// without power; edge_meta_flash.h keeps them.
#include <edge_meta_console.h>
#include <edge_meta_interpreter.h>
#include <tensorflow/lite/micro/micro_interpreter.h>  // so that Arduino finds the library

alignas(16) static uint8_t arena[edge_meta::kArenaWithScratch];
static em_store store;
static char line[EM_CONSOLE_LINE];
static size_t length = 0;
static const char* failed = nullptr;

static void put(void*, char character) { Serial.write(character); }

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  em_init(&store);
  failed = edge_meta::Begin(arena, sizeof(arena));
  Serial.print(failed == nullptr ? "ready EM_OK" : "failed: ");
  Serial.print(failed == nullptr ? "" : failed);
  Serial.print("\n");
}

void loop() {
  if (failed != nullptr || Serial.available() == 0) return;
  const char character = static_cast<char>(Serial.read());
  if (character != '\n') {
    if (length < sizeof(line)) line[length] = character;
    ++length;
    return;
  }
  if (length < sizeof(line)) {
    line[length] = '\0';
    em_console console = {};
    console.store = &store;
    console.put = put;
    console.embed = edge_meta::Embed;
    console.arena_bytes = static_cast<uint32_t>(edge_meta::ArenaUsed());
    em_console_run(&console, line);
  } else {
    Serial.print("error EM_BAD_ARGUMENT\n");
  }
  length = 0;
}
