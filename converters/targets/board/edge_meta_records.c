/* Records of the flash: encode, check, correct. */
#include "edge_meta_records.h"

#if EM_FLASH

#include "edge_meta_internal.h"

#define CRC_POLYNOMIAL 0xEDB88320u /* of zlib's CRC-32, bits reversed */

static uint32_t crc_shift(uint32_t crc) { return (crc >> 1) ^ ((crc & 1u) != 0u ? CRC_POLYNOMIAL : 0u); }

uint32_t em_crc32(const uint8_t* bytes, uint32_t count) {
  uint32_t crc = 0xFFFFFFFFu;
  for (uint32_t i = 0; i < count; ++i) {
    crc ^= bytes[i];
    for (uint32_t bit = 0; bit < 8u; ++bit) crc = crc_shift(crc);
  }
  return ~crc;
}

uint32_t em_get32(const uint8_t* from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

void em_put32(uint8_t* to, uint32_t value) {
  for (uint32_t i = 0; i < 4u; ++i) to[i] = (uint8_t)(value >> (8u * i));
}

uint8_t em_correct(uint8_t* bytes, uint32_t count) {
  uint8_t* const crc = &bytes[count];
  const uint32_t syndrome = em_crc32(bytes, count) ^ em_get32(crc);
  if (syndrome == 0u) return EM_GOOD;
  if ((syndrome & (syndrome - 1u)) == 0u) { /* a bit of the CRC itself */
    em_put32(crc, em_get32(crc) ^ syndrome);
    return EM_CORRECTED;
  }
  uint32_t trace = 1; /* what a flip leaves in the register: of the last bit one shift, of the one before it two, ... */
  for (uint32_t bit = 0; bit < 8u * count; ++bit) {
    trace = crc_shift(trace);
    if (trace == syndrome) {
      uint8_t* const wrong = &bytes[count - 1u - bit / 8u];
      *wrong = (uint8_t)(*wrong ^ (0x80u >> (bit % 8u)));
      return EM_CORRECTED;
    }
  }
  return EM_BAD;
}

/* --- SHA-256 (FIPS 180-4) ------------------------------------------------------------------------------------------ */

typedef struct {
  uint32_t state[8], length;
  uint8_t block[64];
} sha256;

static uint32_t rotated(uint32_t word, uint32_t by) { return word >> by | word << (32u - by); }

static void sha_block(sha256* hash) {
  static const uint32_t k[64] = {
      0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
      0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
      0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
      0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
      0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
      0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
      0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
      0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
  };
  uint32_t w[64], s[8];
  for (uint32_t i = 0; i < 16u; ++i) {
    const uint8_t* at = &hash->block[4u * i];
    w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  }
  for (uint32_t i = 16; i < 64u; ++i) {
    const uint32_t a = w[i - 15u], b = w[i - 2u];
    w[i] = w[i - 16u] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + w[i - 7u] + (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
  }
  memcpy(s, hash->state, sizeof s);
  for (uint32_t i = 0; i < 64u; ++i) {
    const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]), majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    const uint32_t one = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)) + choice + k[i] + w[i];
    const uint32_t two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) + majority;
    for (uint32_t j = 7; j > 0u; --j) s[j] = s[j - 1u];
    s[4] += one;
    s[0] = one + two;
  }
  for (uint32_t i = 0; i < 8u; ++i) hash->state[i] += s[i];
}

static void sha_add(sha256* hash, const uint8_t* bytes, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    hash->block[hash->length % 64u] = bytes[i];
    hash->length += 1u;
    if (hash->length % 64u == 0u) sha_block(hash);
  }
}

void em_renamed_id(const uint8_t* id, const em_value* shot, const char* label, uint8_t* renamed) {
  sha256 hash = {{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u},
                 0,
                 {0}};
  float values[EM_DIM];
  uint8_t bytes[8] = {0};
  em_values(shot, values);
  sha_add(&hash, id, 16);
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    em_put32(bytes, bits);
    sha_add(&hash, bytes, 4);
  }
  for (; *label != '\0'; ++label) sha_add(&hash, (const uint8_t*)label, 1);
  const uint32_t bits = 8u * hash.length;
  const uint8_t one = 0x80u, zero = 0;
  sha_add(&hash, &one, 1);
  while (hash.length % 64u != 56u) sha_add(&hash, &zero, 1);
  for (uint32_t i = 0; i < 4u; ++i) {
    bytes[i] = 0;
    bytes[4u + i] = (uint8_t)(bits >> (24u - 8u * i));
  }
  sha_add(&hash, bytes, 8);
  for (uint32_t i = 0; i < 16u; ++i) renamed[i] = (uint8_t)(hash.state[i / 4u] >> (24u - 8u * (i % 4u)));
}

/* --- records ------------------------------------------------------------------------------------------------------- */

/* Finds ids and data in the buffer; returns 0 if the record is longer than any. */
static uint8_t lay_out(em_flash* flash, em_record* record) {
  uint32_t at = EM_RECORD_HEADER;
  record->id = &flash->buffer[at];
  if (record->ids > 0u) at += 16u * record->ids + 4u;
  record->data = &flash->buffer[at < EM_RECORD_BYTES ? at : 0u];
  if (record->data_bytes > 0u) at += record->data_bytes + 4u;
  record->bytes = (at + EM_FLASH_UNIT - 1u) / EM_FLASH_UNIT * EM_FLASH_UNIT;
  return record->bytes <= EM_RECORD_BYTES && record->data_bytes % 4u == 0u;
}

em_record em_begin_record(em_flash* flash, uint8_t type, uint16_t of, uint8_t ids, uint32_t data_bytes) {
  em_record record = {0};
  record.type = type;
  record.of = of;
  record.ids = ids;
  record.data_bytes = (uint16_t)((data_bytes + 3u) / 4u * 4u);
  (void)lay_out(flash, &record);
  for (uint32_t i = 0; i < EM_RECORD_BYTES; ++i) flash->buffer[i] = 0;
  return record;
}

/* Writes the CRC of bytes after them. */
static void seal(uint8_t* bytes, uint32_t count) { em_put32(&bytes[count], em_crc32(bytes, count)); }

void em_seal_record(em_flash* flash, const em_record* record) {
  uint8_t* head = flash->buffer;
  head[0] = record->type;
  head[1] = record->ids;
  head[2] = (uint8_t)record->of;
  head[3] = (uint8_t)(record->of >> 8);
  head[4] = (uint8_t)record->data_bytes;
  head[5] = (uint8_t)(record->data_bytes >> 8);
  head[6] = record->origin;
  head[7] = record->flags;
  seal(head, 8);
  if (record->ids > 0u) seal(record->id, 16u * record->ids);
  if (record->data_bytes > 0u) seal(record->data, record->data_bytes);
}

em_record em_read_header(em_flash* flash, uint32_t at) {
  em_record record = {0};
  uint8_t* head = flash->buffer;
  record.at = at;
  record.head_state = em_correct(head, 8);
  record.type = head[0];
  record.ids = head[1];
  record.of = (uint16_t)(em_get32(head) >> 16);
  record.data_bytes = (uint16_t)em_get32(&head[4]);
  record.origin = head[6];
  record.flags = head[7];
  if (lay_out(flash, &record) == 0u || record.type < EM_SHOT || record.type > EM_ORIGIN) record.head_state = EM_BAD;
  return record;
}

uint8_t em_is_all(const uint8_t* bytes, uint32_t count, uint8_t value) {
  for (uint32_t i = 0; i < count; ++i) {
    if (bytes[i] != value) return 0;
  }
  return 1;
}

static uint8_t check(uint8_t* bytes, uint32_t count) {
  /* Never programmed: but four blank bytes fit their blank CRC. */
  return em_is_all(bytes, count + 4u, 0xFFu) != 0u ? (uint8_t)EM_BAD : em_correct(bytes, count);
}

void em_check_record(em_record* record) {
  record->ids_state = EM_GOOD;
  record->data_state = EM_GOOD;
  if (record->ids > 0u) record->ids_state = check(record->id, 16u * record->ids);
  if (record->data_bytes == 0u) return;
  const uint8_t zeroed = em_is_all(record->data, record->data_bytes + 4u, 0);
  record->data_state = zeroed != 0u ? (uint8_t)EM_ZEROED : check(record->data, record->data_bytes);
}

#endif /* EM_FLASH */
