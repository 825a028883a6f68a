/* Lets the power fail at every byte of a history, or flips bits of what it leaves: board_cuts cuts|flips|pairs < COMMANDS.
 *
 * The classes must then be those after the last command that was acknowledged, or after the one that was cut. Prints what is
 * wrong, and last how many cases were tried. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_meta_console.h"

#ifndef SECTOR
#define SECTOR 1024
#endif
#define SECTORS 3
#define COMMANDS 64
#define LONGEST 4096

static em_store store;
static em_flash flash;
static uint8_t memory[SECTOR * SECTORS], left[SECTOR * SECTORS];
static char commands[COMMANDS][LONGEST], states[COMMANDS + 1][LONGEST], found[LONGEST], line[LONGEST];
static unsigned count, wrong, tried;
static size_t written;
static long budget, spent;
static jmp_buf power;

static void spend(void) {
  spent += 1;
  if (budget == 0) longjmp(power, 1);
  if (budget > 0) budget -= 1;
}

static int read_flash(void* context, uint32_t address, void* to, uint32_t bytes) {
  (void)context;
  if (address + bytes > sizeof memory) abort();
  memcpy(to, &memory[address], bytes);
  return 0;
}

static int program_flash(void* context, uint32_t address, const void* from, uint32_t bytes) {
  (void)context;
  if (address % EM_FLASH_UNIT != 0 || bytes % EM_FLASH_UNIT != 0 || address + bytes > sizeof memory) abort();
  for (uint32_t i = 0; i < bytes; ++i) {
    spend();
#if EM_FLASH_PROGRAM_ONCE
    if (memory[address + i] != 0xFF) abort();
#endif
    memory[address + i] = (uint8_t)(memory[address + i] & ((const uint8_t*)from)[i]);
  }
  return 0;
}

static int erase_flash(void* context, uint32_t address) {
  (void)context;
  for (uint32_t i = 0; i < SECTOR; ++i) {
    spend();
    memory[address + i] = 0xFF;
  }
  return 0;
}

static void put(void* context, char character) {
  (void)context;
  if (written < LONGEST - 1) found[written] = character;
  written += 1;
}

static em_console console = {&store, &flash, put, NULL, NULL, 0};
static const em_flash_device device = {read_flash, program_flash, erase_flash, NULL, SECTOR, SECTORS};
static const uint8_t origin[16] = {9, 8, 7};

static em_status open_flash(void) { return em_flash_open(&flash, &store, &device, origin); }

static void run(const char* command) {
  strcpy(line, command);
  em_console_run(&console, line);
}

/* The classes, and the answers to the example of the first command. */
static void describe(char* state) {
  char query[LONGEST];
  written = 0;
  memset(found, 0, sizeof found);
  run("list");
  sprintf(query, "classify e %.*s", (int)(sizeof(em_value) * 2 * EM_DIM), &commands[0][9]);
  run(query);
  memcpy(state, found, LONGEST);
}

static void require(int holds, const char* what, long at) {
  if (holds) return;
  wrong += 1;
  if (wrong < 10) printf("%s at %ld:\n%s", what, at, found);
}

static void cut_everywhere(long total) {
  static char state[LONGEST];
  for (volatile long at = 0; at < total; ++at) {
    volatile unsigned done = 0;
    memset(memory, 0xFF, sizeof memory);
    budget = at;
    if (setjmp(power) == 0) {
      if (open_flash() != EM_OK) abort();
      for (; done < count; ++done) run(commands[done]);
      abort();
    }
    budget = -1;
    tried += 1;
    em_status status = open_flash();
    describe(state);
    require(status == EM_OK, "the flash does not open after a cut", at);
    require(flash.damaged == 0, "a cut is taken for damage", at);
    require(strcmp(state, states[done]) == 0 || (done < count && strcmp(state, states[done + 1]) == 0),
            "a cut lost or changed a class", at);
    status = open_flash();
    describe(found);
    require(status == EM_OK && flash.torn == 0 && strcmp(state, found) == 0, "the second start differs from the first", at);
    run(commands[0]); /* it goes on */
    if (flash.opened == 0) require(0, "nothing can be written after a cut", at);
  }
}

static uint32_t step(uint32_t* seed) { return *seed = *seed * 1664525u + 1013904223u; }

static void flip_everywhere(int pairs) {
  static char state[LONGEST];
  uint32_t seed = 1;
  memcpy(left, memory, sizeof memory);
  const uint32_t begin = flash.sector * SECTOR, used = flash.end;
  for (uint32_t bit = 0; bit < 8 * used; ++bit) {
    memcpy(memory, left, sizeof memory);
    memory[begin + bit / 8] = (uint8_t)(memory[begin + bit / 8] ^ (1u << bit % 8));
    if (pairs) {
      const uint32_t near = (bit + 1 + step(&seed) % 64) % (8 * used);
      memory[begin + near / 8] = (uint8_t)(memory[begin + near / 8] ^ (1u << near % 8));
    }
    tried += 1;
    const em_status status = open_flash();
    if (pairs && status == EM_CORRUPT_FLASH) continue; /* both headers */
    require(status == EM_OK, "the flash does not open after a flip", (long)bit);
    describe(state);
    if (!pairs) require(strcmp(state, states[count]) == 0 && flash.damaged == 0, "a flipped bit changed a class", (long)bit);
    if (pairs && strcmp(state, states[count]) != 0) require(flash.damaged + flash.torn > 0, "damage is not named", (long)bit);
    /* No class that there never was. */
    for (uint32_t k = 0; k < store.classes; ++k) {
      char name[64];
      sprintf(name, " %s\n", store.of[k].label);
      int known = store.of[k].label[0] == '?';
      for (unsigned i = 0; i <= count; ++i) known |= strstr(states[i], name) != NULL;
      require(known, "a class that never was", (long)bit);
    }
  }
}

int main(int arguments, char** argument) {
  if (arguments != 2) return 2;
  while (count < COMMANDS && fgets(commands[count], LONGEST, stdin) != NULL) {
    commands[count][strcspn(commands[count], "\n")] = '\0';
    count += 1;
  }
  memset(memory, 0xFF, sizeof memory);
  budget = -1;
  if (open_flash() != EM_OK) return 3;
  for (unsigned i = 0; i < count; ++i) {
    describe(states[i]);
    written = 0;
    memset(found, 0, sizeof found);
    run(commands[i]);
    if (strstr(found, "error") != NULL) printf("%s: %s", commands[i], found), wrong += 1;
  }
  describe(states[count]);
  const long total = spent;
  if (strcmp(argument[1], "cuts") == 0) cut_everywhere(total);
  if (strcmp(argument[1], "flips") == 0) flip_everywhere(0);
  if (strcmp(argument[1], "pairs") == 0) flip_everywhere(1);
  printf("%u wrong of %u, generation %u\n", wrong, tried, (unsigned)flash.generation);
  return wrong > 0;
}
