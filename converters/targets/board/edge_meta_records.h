/* Records of the flash: encode, check, correct. Between the library's own files. */
#ifndef EDGE_META_RECORDS_H_
#define EDGE_META_RECORDS_H_

#include "edge_meta_flash.h"

#if EM_FLASH

enum { EM_SHOT = 1, EM_REMOVE = 2, EM_RENAME = 3, EM_COLUMN = 4, EM_HEAD = 5, EM_ORIGIN = 6 };
enum { EM_KEEP_HEAD = 1, EM_SOME_COLUMNS = 2 }; /* flags: of EM_REMOVE, of EM_HEAD */
enum { EM_GOOD, EM_CORRECTED, EM_ZEROED, EM_BAD };

#define EM_RECORD_HEADER 12u

/* A record in the buffer of a flash, or, of `data`, its state alone. */
typedef struct {
  uint8_t type, ids, origin, flags;
  uint16_t of; /* the class's id */
  uint16_t data_bytes;
  uint32_t at, bytes; /* where it is in the sector, and how long it is */
  uint8_t head_state, ids_state, data_state;
  uint8_t* id;   /* 16 bytes each */
  uint8_t* data; /* padded to 4 bytes */
} em_record;

uint32_t em_crc32(const uint8_t* bytes, uint32_t count);

/* Checks bytes against their CRC-32, which follows them, and corrects one flipped bit of either. */
uint8_t em_correct(uint8_t* bytes, uint32_t count);

/* Whether all bytes have a value. */
uint8_t em_is_all(const uint8_t* bytes, uint32_t count, uint8_t value);

uint32_t em_get32(const uint8_t* from);
void em_put32(uint8_t* to, uint32_t value);

/* The first 16 bytes of SHA-256 of a shot's id, its values as float32, and its class's new label: its new id, as in Python's
 * store/rename.py. */
void em_renamed_id(const uint8_t* id, const em_value* shot, const char* label, uint8_t* renamed);

/* Begins a record in the buffer: the ids and data are zero, for the caller to fill. */
em_record em_begin_record(em_flash* flash, uint8_t type, uint16_t of, uint8_t ids, uint32_t data_bytes);

/* Computes the CRCs of a record in the buffer. */
void em_seal_record(em_flash* flash, const em_record* record);

/* Decodes the 12 bytes of a header in the buffer; EM_BAD if they are none. */
em_record em_read_header(em_flash* flash, uint32_t at);

/* Checks ids and data, which are in the buffer after the header. */
void em_check_record(em_record* record);

#endif

#endif /* EDGE_META_RECORDS_H_ */
