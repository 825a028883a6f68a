/* Runs the board's line protocol on stdin and stdout, with a file for flash: board_driver [FILE SECTOR_BYTES SECTORS].
 * The command "cut N" lets the power fail after N more bytes are programmed or erased: exit code 3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_meta_console.h"

static em_store store;
static char line[1 << 16];

#if EM_FLASH
static em_flash flash;
static em_flash_device device;
static uint8_t memory[1 << 20];
static const char* path;
static long budget = -1;

static void save(void) {
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(memory, 1, device.sector_bytes * device.sectors, file) == 0) exit(4);
  fclose(file);
}

static void spend(void) {
  if (budget == 0) {
    save();
    fflush(stdout);
    _Exit(3);
  }
  if (budget > 0) --budget;
}

static int read_flash(void* context, uint32_t address, void* to, uint32_t bytes) {
  (void)context;
  memcpy(to, &memory[address], bytes);
  return 0;
}

static int program_flash(void* context, uint32_t address, const void* from, uint32_t bytes) {
  (void)context;
  if (address % EM_FLASH_UNIT != 0 || bytes % EM_FLASH_UNIT != 0) exit(5);
  for (uint32_t i = 0; i < bytes; ++i) {
    spend();
#if EM_FLASH_PROGRAM_ONCE
    if (memory[address + i] != 0xFF) exit(6);
#endif
    memory[address + i] = (uint8_t)(memory[address + i] & ((const uint8_t*)from)[i]);
  }
  return 0;
}

static int erase_flash(void* context, uint32_t address) {
  (void)context;
  for (uint32_t i = 0; i < device.sector_bytes; ++i) {
    spend();
    memory[address + i] = 0xFF;
  }
  return 0;
}
#endif

static void put(void* context, char character) {
  (void)context;
  putchar(character);
}

int main(int count, char** arguments) {
  em_console console = {0};
  console.store = &store;
  console.put = put;
  em_init(&store);
  (void)count;
  (void)arguments;
#if EM_FLASH
  if (count == 4) {
    static const uint8_t origin[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    path = arguments[1];
    const em_flash_device made = {read_flash, program_flash, erase_flash, NULL, (uint32_t)atol(arguments[2]),
                                  (uint32_t)atol(arguments[3])};
    device = made;
    memset(memory, 0xFF, sizeof memory);
    FILE* file = fopen(path, "rb");
    if (file != NULL) {
      if (fread(memory, 1, sizeof memory, file) == 0) return 4;
      fclose(file);
    }
    if (getenv("CUT") != NULL) budget = atol(getenv("CUT"));
    const em_status status = em_flash_open(&flash, &store, &device, origin);
    printf("opened %s corrected %u damaged %u at %u torn %u end %u\n", em_status_name(status), (unsigned)flash.corrected,
           (unsigned)flash.damaged, (unsigned)flash.damaged_at, (unsigned)flash.torn, (unsigned)flash.end);
    console.flash = &flash;
  }
#endif
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
#if EM_FLASH
    if (strncmp(line, "cut ", 4) == 0) {
      budget = atol(&line[4]);
      continue;
    }
#endif
    em_console_run(&console, line);
    fflush(stdout); /* for one who reads each answer before the next command */
  }
#if EM_FLASH
  if (path != NULL) save();
#endif
  return 0;
}
