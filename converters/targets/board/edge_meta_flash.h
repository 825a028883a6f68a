/* Classes that survive a power cut: an append-only log of records in two or more sectors of flash; docs/board-flash.md has the
 * format byte by byte. Change the store by these functions alone once it is opened here; classify with em_classify.
 */
#ifndef EDGE_META_FLASH_H_
#define EDGE_META_FLASH_H_

#include "edge_meta.h"

#if EM_FLASH

#ifdef __cplusplus
extern "C" {
#endif

/* Your flash. The functions return 0 if all went well. An address counts from 0, over all sectors. */
typedef struct {
  int (*read)(void* context, uint32_t address, void* to, uint32_t bytes);
  int (*program)(void* context, uint32_t address, const void* from, uint32_t bytes); /* whole units of EM_FLASH_UNIT */
  int (*erase)(void* context, uint32_t address); /* a sector, to 0xFF */
  void* context;
  uint32_t sector_bytes; /* a multiple of 64, below 2^24 */
  uint32_t sectors;      /* at least 2 */
} em_flash_device;

#define EM_MAX(a, b) ((a) > (b) ? (a) : (b))
#define EM_RECORD_SHOT (12 + 20 + 4 + EM_LABEL_BYTES + (EM_INT8 ? 1 : 4) * EM_DIM + 4)
#define EM_RECORD_IDS (12 + EM_MAX(32 * EM_SHOTS, 16 * EM_NONE) + 4 + 4 + EM_LABEL_BYTES + 4)
#define EM_RECORD_COLUMN (EM_ADAPT ? 12 + 4 + 4 * EM_DIM + 4 : 0)
#define EM_RECORD_BYTES (EM_MAX(EM_MAX(EM_RECORD_SHOT, EM_RECORD_IDS), EM_RECORD_COLUMN) + EM_FLASH_UNIT)

typedef struct {
  em_store* store;
  const em_flash_device* device;
  uint8_t opened;
  uint32_t sector;     /* the one in use, */
  uint32_t generation; /* its generation, */
  uint32_t end;        /* and how many bytes of it are used */
  uint8_t origin[16];
  uint8_t origins;     /* that imported shots come from */
  uint32_t counter;    /* of the last shot id */
  uint32_t corrected;  /* records of which a flipped bit was corrected when the flash was opened */
  uint32_t damaged;    /* records that were skipped, beyond correction; the first one's address: */
  uint32_t damaged_at;
  uint32_t torn; /* 1 if the last record was not whole, as a power cut leaves it; it is skipped */
  uint8_t buffer[EM_RECORD_BYTES];
} em_flash;

/* Opens the flash and fills the store from it; formats it if it is blank. If this program's store is too small for what is
 * there, returns EM_CLASSES_FULL, EM_SHOTS_FULL, EM_NONE_FULL or EM_LABEL_TOO_LONG, and changes nothing. `origin` is 16 random bytes, used when formatting
 * alone: shot ids are made of them, so no other board, and no formatting of this one, may have the same. */
em_status em_flash_open(em_flash* flash, em_store* store, const em_flash_device* device, const uint8_t* origin);

/* As the functions of edge_meta.h; what they return EM_OK for is in flash. Undo reaches back to the last open. */
em_status em_flash_enroll(em_flash* flash, const char* label, const em_value* embedding, uint16_t* id);
em_status em_flash_forget(em_flash* flash, uint16_t id);
#if EM_NONE > 0
em_status em_flash_enroll_none(em_flash* flash, const em_value* embedding);
em_status em_flash_forget_none(em_flash* flash);
#endif
em_status em_flash_rename(em_flash* flash, uint16_t id, const char* label);
em_status em_flash_undo(em_flash* flash);
#if EM_ADAPT
em_status em_flash_adapt(em_flash* flash, const float* rates, uint8_t steps, uint8_t trusted, em_adapted* result);
#endif

/* Writes the live records to the next sector and erases this one. Changes do so themselves when the sector is full. */
em_status em_flash_compact(em_flash* flash);

#ifdef __cplusplus
}
#endif

#endif /* EM_FLASH */

#endif /* EDGE_META_FLASH_H_ */
