/* firmware_port.h on QEMU's mps2-an386: UART 0, and for flash the 16 MB of memory at 0x21000000, which a file backs. */
#include "firmware_port.h"

#define UART(offset) (*(volatile uint32_t*)(0x40004000u + (offset)))
#define MEMORY ((volatile uint8_t*)0x21000000u)
#define SECTOR 16384u

#define SYSTICK(offset) (*(volatile uint32_t*)(0xE000E010u + (offset)))
#define PERIOD (1u << 24)
#define PAINT 0xA5u
#define MOST_STACK 65536u

/* Of the last command, from its line feed to the first character of its answer; beyond the flash's sectors, for the test. */
static volatile struct {
  uint32_t ticks; /* of 40 ns */
  uint32_t stack; /* bytes, main's own frame left out */
} *const cost = (void*)(0x21000000u + (15u << 20));

static volatile uint32_t wraps;
static volatile uint8_t measuring;
static uint32_t began;
static uint8_t* stack_at;

void SysTickHandler(void) { wraps = wraps + 1u; }

static uint32_t ticks(void) {
  uint32_t before, left;
  do {
    before = wraps;
    left = SYSTICK(8);
  } while (before != wraps);
  return before * PERIOD + (PERIOD - left) % PERIOD; /* it counts down, and is 0 before its first tick as after its last */
}

static void __attribute__((noinline)) begin_measuring(void) {
  stack_at = __builtin_frame_address(0);
  for (uint8_t* at = stack_at - MOST_STACK; at < stack_at - 128; ++at) *(volatile uint8_t*)at = PAINT;
  began = ticks();
  measuring = 1;
}

static void __attribute__((noinline)) end_measuring(void) {
  const uint8_t* at = stack_at - MOST_STACK;
  cost->ticks = ticks() - began;
  measuring = 0;
  while (at < stack_at - 128 && *at == PAINT) ++at;
  cost->stack = (uint32_t)(stack_at - at);
}

void PortBegin(void) {
  UART(16) = 16; /* the divider: at least 16 */
  UART(8) = 3;   /* send and receive */
  SYSTICK(4) = PERIOD - 1u;
  SYSTICK(8) = 0;
  SYSTICK(0) = 7; /* the core's clock, interrupt, on */
}

char PortRead(void) {
  while ((UART(4) & 2u) == 0u) {
  }
  const char character = (char)UART(0);
  if (character == '\n') begin_measuring();
  return character;
}

void PortWrite(char character) {
  if (measuring != 0u) end_measuring();
  while ((UART(4) & 1u) != 0u) {
  }
  UART(0) = (uint8_t)character;
}

const uint8_t* PortRandom(void) { /* a real board has its own */
  static const uint8_t bytes[16] = {0xed, 0x9e, 0x3e, 0x7a};
  return bytes;
}

static int read_flash(void* context, uint32_t address, void* to, uint32_t bytes) {
  (void)context;
  for (uint32_t i = 0; i < bytes; ++i) ((uint8_t*)to)[i] = MEMORY[address + i];
  return 0;
}

static int program_flash(void* context, uint32_t address, const void* from, uint32_t bytes) {
  (void)context;
  for (uint32_t i = 0; i < bytes; ++i) MEMORY[address + i] = (uint8_t)(MEMORY[address + i] & ((const uint8_t*)from)[i]);
  return 0;
}

static int erase_flash(void* context, uint32_t address) {
  (void)context;
  for (uint32_t i = 0; i < SECTOR; ++i) MEMORY[address + i] = 0xFF;
  return 0;
}

const em_flash_device* PortFlash(void) {
  static const em_flash_device device = {read_flash, program_flash, erase_flash, 0, SECTOR, 2};
  return &device;
}
