/* libFuzzer on the reader of a board's flash: any bytes may be there. Opens them, changes what it finds, opens it again. */
#include <stdlib.h>
#include <string.h>

#include "edge_meta_flash.h"
#include "edge_meta_records.h"

#define SECTOR 1024
#define SECTORS 2

static em_store store;
static em_flash flash;
static uint8_t memory[SECTOR * SECTORS];

static int read_flash(void* context, uint32_t address, void* to, uint32_t bytes) {
  (void)context;
  if (address > sizeof memory || bytes > sizeof memory - address) abort();
  memcpy(to, &memory[address], bytes);
  return 0;
}

static int program_flash(void* context, uint32_t address, const void* from, uint32_t bytes) {
  (void)context;
  if (address > sizeof memory || bytes > sizeof memory - address) abort();
  for (uint32_t i = 0; i < bytes; ++i) memory[address + i] &= ((const uint8_t*)from)[i];
  return 0;
}

static int erase_flash(void* context, uint32_t address) {
  (void)context;
  memset(&memory[address], 0xFF, SECTOR);
  return 0;
}

/* Most bytes that a fuzzer makes have wrong CRCs: seal the header, and the records as far as they go. */
static void seal(uint8_t* sector) {
  static const uint8_t encoder[16] = EM_ENCODER_ID;
  memcpy(sector, "EMBR\1\0", 6);
  em_put32(&sector[4], 1u | (uint32_t)(EM_DIM) << 16);
  sector[8] = EM_INT8;
  sector[9] = EM_FLASH_UNIT;
  const float scale = EM_SCALE;
  em_put32(&sector[12], (uint32_t)(int32_t)(EM_ZERO_POINT));
  memcpy(&sector[16], &scale, 4);
  memcpy(&sector[24], encoder, 16);
  em_put32(&sector[56], SECTOR);
  em_put32(&sector[60], em_crc32(sector, 60));
  for (uint32_t at = 128; at + 12 < SECTOR;) {
    uint8_t* head = &sector[at];
    head[0] = (uint8_t)(1 + head[0] % 6);
    head[1] %= 7;
    head[4] &= 0x3C;
    head[5] = 0;
    const uint32_t ids = head[1] ? 16u * head[1] + 4u : 0u, data = head[4] ? head[4] + 4u : 0u;
    if (at + 12 + ids + data > SECTOR) break;
    em_put32(&head[8], em_crc32(head, 8));
    if (ids) em_put32(&head[12 + ids - 4], em_crc32(&head[12], ids - 4));
    if (data) em_put32(&head[12 + ids + data - 4], em_crc32(&head[12 + ids], data - 4));
    at += 12 + ids + data;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  static const em_flash_device device = {read_flash, program_flash, erase_flash, NULL, SECTOR, SECTORS};
  static const uint8_t origin[16] = {1};
  if (count < 1) return 0;
  memset(memory, 0xFF, sizeof memory);
  memcpy(memory, &bytes[1], count - 1 < sizeof memory ? count - 1 : sizeof memory);
  if (bytes[0] & 1) seal(memory);
  if (bytes[0] & 2) seal(&memory[SECTOR]);
  const em_status status = em_flash_open(&flash, &store, &device, origin);
  if (status != EM_OK) return 0;
  const em_value shot[EM_DIM] = {1, 2, 3};
  em_answer answer;
  const em_status classified = em_classify(&store, shot, &answer);
  if ((classified == EM_OK) != (store.classes > 0)) abort();
  uint16_t id = 0;
  const em_status enrolled = em_flash_enroll(&flash, "new", shot, &id);
  if (enrolled == EM_OK && em_find(&store, "new") != id) abort();
  if (bytes[0] & 32) (void)em_flash_enroll_none(&flash, shot);
  if (bytes[0] & 64) (void)em_flash_forget_none(&flash);
  if (bytes[0] & 128) (void)em_flash_undo(&flash);
  if (store.classes > 0 && bytes[0] & 4) (void)em_flash_forget(&flash, store.of[0].id);
  if (store.classes > 0 && bytes[0] & 8) (void)em_flash_rename(&flash, store.of[0].id, "other");
  if (bytes[0] & 16) (void)em_flash_compact(&flash);
  if (!flash.opened) return 0;
  const uint8_t classes = store.classes, nones = store.nones;
  if (em_flash_open(&flash, &store, &device, origin) != EM_OK || store.classes != classes || store.nones != nones) abort();
  return 0;
}
