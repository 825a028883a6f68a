/* firmware_port.h on QEMU's mps2-an386: UART 0, and for flash the 16 MB of memory at 0x21000000, which a file backs. */
#include "firmware_port.h"

#define UART(offset) (*(volatile uint32_t*)(0x40004000u + (offset)))
#define MEMORY ((volatile uint8_t*)0x21000000u)
#define SECTOR 16384u

void SysTickHandler(void) {}

void PortBegin(void) {
  UART(16) = 16; /* the divider: at least 16 */
  UART(8) = 3;   /* send and receive */
}

char PortRead(void) {
  while ((UART(4) & 2u) == 0u) {
  }
  return (char)UART(0);
}

void PortWrite(char character) {
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
