/* Classes in flash: open, change, compact. The order of writes is what survives a power cut; see docs/board-flash.md. */
#include "edge_meta_flash.h"

#if EM_FLASH

#include "edge_meta_internal.h"
#include "edge_meta_records.h"

#define FORMAT 1u
#define HEADER_BYTES 64u
#define FIRST_RECORD (2u * HEADER_BYTES) /* the header stands twice */
#define NOWHERE 0xFFFFFFFFu
/* So much is left free of all but removals, so that a full sector can still forget. */
#define SPARE ((12u + 16u * EM_MAX(EM_SHOTS, EM_NONE) + 4u + EM_FLASH_UNIT - 1u) / EM_FLASH_UNIT * EM_FLASH_UNIT)

enum { RECORD, BLANK, WIPED, NO_RECORD, END };

/* --- the device ---------------------------------------------------------------------------------------------------- */

static em_status failed(em_flash* flash) {
  flash->opened = 0; /* what is in flash is not known: open it again */
  return EM_FLASH_FAILED;
}

static em_status read_at(em_flash* flash, uint32_t sector, uint32_t at, void* to, uint32_t bytes) {
  const em_flash_device* device = flash->device;
  const int error = device->read(device->context, sector * device->sector_bytes + at, to, bytes);
  return error == 0 ? EM_OK : failed(flash);
}

static em_status program_at(em_flash* flash, uint32_t sector, uint32_t at, const uint8_t* from, uint32_t bytes) {
  const em_flash_device* device = flash->device;
  const int error = device->program(device->context, sector * device->sector_bytes + at, from, bytes);
  if (error != 0) return failed(flash);
  for (uint32_t i = 0; i < bytes; i += EM_FLASH_UNIT) { /* what was not stored must not be acknowledged */
    uint8_t stored[EM_FLASH_UNIT];
    const em_status status = read_at(flash, sector, at + i, stored, EM_FLASH_UNIT);
    if (status != EM_OK) return status;
    for (uint32_t j = 0; j < EM_FLASH_UNIT; ++j) {
      if (stored[j] != from[i + j]) return failed(flash);
    }
  }
  return EM_OK;
}

/* Whether a sector is blank from a byte on. */
static em_status blank_from(em_flash* flash, uint32_t sector, uint32_t at, uint8_t* blank) {
  *blank = 1;
  for (; at < flash->device->sector_bytes && *blank != 0u; at += EM_FLASH_UNIT) {
    uint8_t unit[EM_FLASH_UNIT];
    const em_status status = read_at(flash, sector, at, unit, EM_FLASH_UNIT);
    if (status != EM_OK) return status;
    *blank = em_is_all(unit, EM_FLASH_UNIT, 0xFFu);
  }
  return EM_OK;
}

static em_status erase(em_flash* flash, uint32_t sector) {
  uint8_t blank;
  em_status status = blank_from(flash, sector, 0, &blank);
  if (status != EM_OK || blank != 0u) return status;
  const em_flash_device* device = flash->device;
  if (device->erase(device->context, sector * device->sector_bytes) != 0) return failed(flash);
  status = blank_from(flash, sector, 0, &blank);
  return status == EM_OK && blank == 0u ? failed(flash) : status;
}

/* --- the header of a sector ---------------------------------------------------------------------------------------- */

/* What every header of this encoder has: bytes 4 to 19, and 24 to 39. */
static void describe(uint8_t* header) {
  static const uint8_t encoder[16] = EM_ENCODER_ID;
  uint32_t scale = 0;
#if EM_INT8
  const float value = EM_SCALE;
  memcpy(&scale, &value, sizeof scale);
  em_put32(&header[12], (uint32_t)(int32_t)(EM_ZERO_POINT));
#else
  em_put32(&header[12], 0);
#endif
  em_put32(&header[4], FORMAT | (uint32_t)(EM_DIM) << 16);
  em_put32(&header[8], (EM_INT8 ? 1u : 0u) | (uint32_t)(EM_FLASH_UNIT) << 8);
  em_put32(&header[16], scale);
  memcpy(&header[24], encoder, sizeof encoder);
}

static em_status write_header(em_flash* flash, uint32_t sector, uint32_t generation) {
  static const uint8_t magic[4] = {'E', 'M', 'B', 'R'};
  uint8_t header[HEADER_BYTES];
  memcpy(header, magic, sizeof magic);
  describe(header);
  header[10] = (uint8_t)flash->store->next_id;
  header[11] = (uint8_t)(flash->store->next_id >> 8);
  em_put32(&header[20], generation);
  memcpy(&header[40], flash->origin, sizeof flash->origin);
  em_put32(&header[56], flash->device->sector_bytes);
  em_put32(&header[60], em_crc32(header, 60));
  const em_status status = program_at(flash, sector, 0, header, HEADER_BYTES);
  return status != EM_OK ? status : program_at(flash, sector, HEADER_BYTES, header, HEADER_BYTES);
}

/* Reads a sector's header; its state is EM_BAD if neither copy is one. */
static em_status read_header(em_flash* flash, uint32_t sector, uint8_t* header, uint8_t* state) {
  *state = EM_BAD;
  for (uint32_t copy = 0; copy < 2u && *state == EM_BAD; ++copy) {
    const em_status status = read_at(flash, sector, copy * HEADER_BYTES, header, HEADER_BYTES);
    if (status != EM_OK) return status;
    *state = em_correct(header, 60);
    if (header[0] != 'E' || header[1] != 'M' || header[2] != 'B' || header[3] != 'R') *state = EM_BAD;
  }
  return EM_OK;
}

/* --- walking the log ----------------------------------------------------------------------------------------------- */

/* Reads what is at a byte of the log into the buffer, and goes on to the byte after it. */
static em_status next_record(em_flash* flash, uint32_t* at, em_record* record, uint8_t* kind) {
  const uint32_t size = flash->device->sector_bytes;
  *kind = END;
  if (*at + EM_RECORD_HEADER > size) return EM_OK;
  em_status status = read_at(flash, flash->sector, *at, flash->buffer, EM_RECORD_HEADER);
  if (status != EM_OK) return status;
  /* No record begins with four such bytes. */
  *kind = em_is_all(flash->buffer, 4, 0xFFu) != 0u ? BLANK : em_is_all(flash->buffer, 4, 0) != 0u ? WIPED : RECORD;
  uint32_t bytes = EM_FLASH_UNIT;
  if (*kind == RECORD) {
    *record = em_read_header(flash, *at);
    if (record->head_state == EM_BAD || record->bytes > size - *at) {
      *kind = NO_RECORD;
    } else {
      const uint32_t rest = record->bytes - EM_RECORD_HEADER;
      if (rest > 0u) {
        status = read_at(flash, flash->sector, *at + EM_RECORD_HEADER, &flash->buffer[EM_RECORD_HEADER], rest);
        if (status != EM_OK) return status;
      }
      em_check_record(record);
      bytes = record->bytes;
    }
  }
  *at += bytes;
  return EM_OK;
}

static uint8_t same_id(const uint8_t* one, const uint8_t* other) {
  for (uint32_t i = 0; i < 16u; ++i) {
    if (one[i] != other[i]) return 0;
  }
  return 1;
}

/* Whether a later record removes a shot; with a null id, whether one drops the adapted head. Uses the buffer. */
static em_status removed_later(em_flash* flash, uint32_t at, const uint8_t* id, uint8_t* removed) {
  em_record record;
  uint8_t kind;
  *removed = 0;
  for (;;) {
    const em_status status = next_record(flash, &at, &record, &kind);
    if (status != EM_OK || kind == END) return status;
    if (kind != RECORD || record.type != EM_REMOVE || record.ids_state == EM_BAD) continue;
    if (id == NULL && (record.flags & EM_KEEP_HEAD) == 0u) *removed = 1;
    for (uint32_t i = 0; id != NULL && i < record.ids; ++i) {
      if (same_id(&record.id[16u * i], id) != 0u) *removed = 1;
    }
  }
}

typedef struct {
  em_source* source; /* null if there is no such shot */
  uint32_t index, shot;
} em_place;

/* Finds the shot of an id. */
static em_place place_of(em_store* store, const uint8_t* id) {
  em_place place = {NULL, 0, 0};
  for (; place.index < EM_GROUPS(store); ++place.index) {
    const em_shots shots = em_shots_of(store, place.index);
    for (place.shot = 0; place.shot < *shots.count; ++place.shot) {
      if (same_id(shots.source[place.shot].id, id) == 0u) continue;
      place.source = &shots.source[place.shot];
      return place;
    }
  }
  return place;
}

/* Counts on from ids that this board made. */
static void count_on(em_flash* flash, const uint8_t* id) {
  for (uint32_t i = 0; i < 12u; ++i) {
    if (id[i] != flash->origin[i]) return;
  }
  if (em_get32(&id[12]) > flash->counter) flash->counter = em_get32(&id[12]);
}

/* --- loading ------------------------------------------------------------------------------------------------------- */

/* The label of a class whose own is beyond correction: "?" and its id. */
static void name_unknown(char* label, uint16_t id) {
  char name[7] = "?";
  uint32_t divisor = 10000, length = 1;
  for (; divisor > 0u; divisor /= 10u) {
    if (id < divisor) continue;
    name[length] = (char)('0' + id / divisor % 10u);
    length += 1u;
  }
  em_set_label(label, name);
}

static em_source source_of(const uint8_t* id, uint8_t origin, uint32_t at) {
  em_source source;
  memcpy(source.id, id, sizeof source.id);
  source.record = at & 0xFFFFFFu;
  source.origin = origin;
  return source;
}

/* Takes a shot over; EM_CORRUPT_FLASH if it cannot be used, or how this program's store is too small for it. */
static em_status load_shot(em_flash* flash, const em_record* record) {
  em_store* store = flash->store;
  const uint32_t length = record->data[0];
  char label[EM_LABEL_BYTES + 1];
  if (record->ids != 1u || (record->of == 0u && length > 0u)) return EM_CORRUPT_FLASH;
  if ((1u + length + sizeof store->of[0].shot[0] + 3u) / 4u * 4u != record->data_bytes) return EM_CORRUPT_FLASH;
  if (length > EM_LABEL_BYTES) return EM_LABEL_TOO_LONG;
  memcpy(label, &record->data[1], length);
  label[length] = '\0';
  const em_source source = source_of(record->id, record->origin, record->at);
  em_value values[EM_DIM];
#if EM_INT8
  memcpy(values, &record->data[1u + length], sizeof values);
#else
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    const uint32_t bits = em_get32(&record->data[1u + length + 4u * i]);
    memcpy(&values[i], &bits, sizeof bits);
  }
#endif
  if (em_check_embedding(values) != EM_OK || place_of(store, record->id).source != NULL) return EM_CORRUPT_FLASH;
  if (record->of == 0u) {
#if EM_NONE > 0
    if (store->nones >= EM_NONE) return EM_NONE_FULL;
    em_add_none(store, values);
    store->none_source[store->nones - 1u] = source;
    return EM_OK;
#else
    return EM_NONE_FULL;
#endif
  }
  em_class* of = em_class_of(store, record->of);
  if (of == NULL && em_check_name(store, label, 0) != EM_OK) name_unknown(label, record->of);
  if (of == NULL && store->classes >= EM_CLASSES) return EM_CLASSES_FULL;
  if (of != NULL && of->shots >= EM_SHOTS) return EM_SHOTS_FULL;
  of = em_add_shot(store, record->of, label, values);
  of->source[of->shots - 1u] = source;
  return EM_OK;
}

static void load_removal(em_store* store, const em_record* record) {
  for (uint32_t i = 0; i < record->ids; ++i) {
    const em_place place = place_of(store, &record->id[16u * i]);
    if (place.source != NULL) em_remove_shot(store, place.index, place.shot);
  }
#if EM_ADAPT
  if ((record->flags & EM_KEEP_HEAD) == 0u) (void)em_drop_head(store);
#endif
}

static uint8_t load_rename(em_store* store, const em_record* record) {
  em_class* of = em_class_of(store, record->of);
  const uint32_t length = record->data[0], half = record->ids / 2u;
  char label[EM_LABEL_BYTES + 1] = "";
  if (of == NULL) return 1; /* gone since */
  const uint8_t whole = record->data_state != EM_BAD && length <= EM_LABEL_BYTES && 1u + length <= record->data_bytes;
  if (whole != 0u) memcpy(label, &record->data[1], length);
  if (em_check_name(store, label, of->id) != EM_OK) name_unknown(label, of->id);
  em_set_label(of->label, label);
  for (uint32_t i = 0; i < half; ++i) {
    em_source* source = place_of(store, &record->id[16u * i]).source;
    if (source != NULL) memcpy(source->id, &record->id[16u * (half + i)], 16);
  }
  return whole;
}

#if EM_ADAPT
static void drop_staged(em_store* store) {
  for (uint32_t k = 0; k < EM_CLASSES; ++k) store->undo_column[k].adapted = 0;
}

static uint8_t load_column(em_store* store, const em_record* record) {
  const em_class* of = em_class_of(store, record->of);
  if (of == NULL) return 1;
  if (record->data_bytes != 4u + 4u * EM_DIM) return 0;
  em_column* column = &store->undo_column[of - store->of];
  column->adapted = 1;
  for (uint32_t i = 0; i <= EM_DIM; ++i) {
    const uint32_t bits = em_get32(&record->data[4u * i]);
    if ((bits & 0x7F800000u) == 0x7F800000u) column->adapted = 0; /* no number */
    memcpy(i == 0u ? &column->bias : &column->weights[i - 1u], &bits, sizeof bits);
  }
  return column->adapted;
}

static void load_head(em_store* store, const em_record* record) {
  uint32_t staged = 0;
  for (uint32_t k = 0; k < store->classes; ++k) staged += store->undo_column[k].adapted;
  if (staged == record->of) {
    if ((record->flags & EM_SOME_COLUMNS) == 0u) (void)em_drop_head(store);
    for (uint32_t k = 0; k < store->classes; ++k) {
      if (store->undo_column[k].adapted != 0u) store->of[k].column = store->undo_column[k];
    }
    store->fresh = 0;
  }
  drop_staged(store);
}
#endif

/* Takes a record over into the store; as load_shot. */
static em_status load_record(em_flash* flash, const em_record* record) {
  if (record->ids_state == EM_BAD) return EM_CORRUPT_FLASH;
  for (uint32_t i = 0; i < record->ids; ++i) count_on(flash, &record->id[16u * i]);
  if (record->type == EM_REMOVE) load_removal(flash->store, record);
  if (record->type == EM_ORIGIN && record->origin > flash->origins) flash->origins = record->origin;
#if EM_ADAPT
  if (record->type == EM_HEAD) load_head(flash->store, record);
#endif
  uint8_t used = 1;
  if (record->type == EM_RENAME && record->data_state != EM_ZEROED) used = load_rename(flash->store, record);
  if (record->data_state == EM_BAD) return EM_CORRUPT_FLASH;
  if (record->data_bytes == 0u || record->data_state == EM_ZEROED) return EM_OK;
  if (record->type == EM_SHOT) return load_shot(flash, record);
#if EM_ADAPT
  if (record->type == EM_COLUMN) used = load_column(flash->store, record);
#endif
  return used != 0u ? EM_OK : EM_CORRUPT_FLASH;
}

/* Whether a record that cannot be used was removed, and is only half zeroed. */
static em_status dead(em_flash* flash, const em_record* record, uint8_t* is_dead) {
  uint8_t id[16];
  *is_dead = 0;
  if (record->ids_state == EM_BAD || record->data_state != EM_BAD) return EM_OK;
  if (record->type == EM_SHOT) memcpy(id, record->id, sizeof id);
  if (record->type == EM_RENAME) *is_dead = em_class_of(flash->store, record->of) == NULL;
  if (record->type != EM_SHOT && record->type != EM_COLUMN) return EM_OK;
  return removed_later(flash, record->at + record->bytes, record->type == EM_SHOT ? id : NULL, is_dead);
}

static void count_damage(em_flash* flash, uint32_t at) {
  if (flash->damaged == 0u) flash->damaged_at = at;
  flash->damaged += 1u;
}

/* Zeroes what a cut has left of a last record, so that no later start takes it for a damaged one. */
static em_status wipe(em_flash* flash, uint32_t at) {
  flash->torn = 1;
  if (EM_FLASH_PROGRAM_ONCE != 0) return em_flash_compact(flash);
  static const uint8_t zero[EM_FLASH_UNIT] = {0};
  for (; at < flash->end; at += EM_FLASH_UNIT) {
    const em_status status = program_at(flash, flash->sector, at, zero, EM_FLASH_UNIT);
    if (status != EM_OK) return status;
  }
  return EM_OK;
}

/* Whether a live shot's record is there. */
static uint8_t live_at(em_store* store, uint32_t at) {
  for (uint32_t k = 0; k < EM_GROUPS(store); ++k) {
    const em_shots shots = em_shots_of(store, k);
    for (uint32_t s = 0; s < *shots.count; ++s) {
      if (shots.source[s].record == at) return 1;
    }
  }
  return 0;
}

/* Zeroes the data of records whose shot, class or head is gone. */
static em_status scrub(em_flash* flash) {
  em_store* store = flash->store;
  uint32_t at = FIRST_RECORD;
  em_record record;
  uint8_t kind;
  for (;;) {
    em_status status = next_record(flash, &at, &record, &kind);
    if (status != EM_OK || kind == END) return status;
    if (kind != RECORD || record.data_bytes == 0u || record.data_state == EM_ZEROED) continue;
    uint8_t gone = 0;
    if (record.data_state == EM_BAD) {
      status = dead(flash, &record, &gone);
      if (status != EM_OK) return status;
    } else if (record.type == EM_SHOT) {
      uint8_t id[16];
      memcpy(id, record.id, sizeof id);
      const uint8_t live = live_at(store, record.at);
      if (live == 0u) status = removed_later(flash, record.at + record.bytes, id, &gone);
      if (status != EM_OK) return status;
    } else if (record.type == EM_RENAME) {
      gone = em_class_of(store, record.of) == NULL;
    }
#if EM_ADAPT
    if (record.type == EM_COLUMN && record.data_state != EM_BAD) gone = em_is_adapted(store) == 0u;
#endif
    if (gone == 0u) continue;
    if (EM_FLASH_PROGRAM_ONCE != 0) return em_flash_compact(flash);
    const uint32_t begin = (uint32_t)(record.data - flash->buffer), first = begin / EM_FLASH_UNIT * EM_FLASH_UNIT;
    status = read_at(flash, flash->sector, record.at, flash->buffer, record.bytes); /* the search has used the buffer */
    if (status != EM_OK) return status;
    for (uint32_t i = begin; i < begin + record.data_bytes + 4u; ++i) flash->buffer[i] = 0;
    status = program_at(flash, flash->sector, record.at + first, &flash->buffer[first], record.bytes - first);
    if (status != EM_OK) return status;
  }
}

static em_status load(em_flash* flash) {
  uint32_t at = FIRST_RECORD, unusable = NOWHERE, last = NOWHERE;
  em_record record;
  uint8_t kind;
  do {
    const em_status status = next_record(flash, &at, &record, &kind);
    if (status != EM_OK) return status;
    if (kind == RECORD) last = record.at;
  } while (kind != END);
  at = FIRST_RECORD;
  flash->end = FIRST_RECORD;
  for (;;) {
    const uint32_t begin = at;
    em_status status = next_record(flash, &at, &record, &kind);
    if (status != EM_OK) return status;
    if (kind == END) break;
    if (kind != BLANK) flash->end = at;
    if (kind == NO_RECORD && unusable == NOWHERE) unusable = begin;
    if (kind != RECORD) continue;
    if (unusable != NOWHERE) count_damage(flash, unusable);
    unusable = NOWHERE;
#if EM_ADAPT
    if (record.type != EM_COLUMN && record.type != EM_HEAD) drop_staged(flash->store);
#endif
    const uint8_t corrected = record.head_state == EM_CORRECTED || record.ids_state == EM_CORRECTED ||
                              record.data_state == EM_CORRECTED;
    const uint8_t cut = begin == last && (record.ids_state == EM_BAD || record.data_state == EM_BAD);
    status = cut != 0u ? EM_CORRUPT_FLASH : load_record(flash, &record);
    if (status == EM_OK) flash->corrected += corrected;
    if (status == EM_OK) continue;
    if (status != EM_CORRUPT_FLASH) return status;
    uint8_t is_dead;
    status = dead(flash, &record, &is_dead);
    if (status != EM_OK) return status;
    if (is_dead == 0u) unusable = begin;
  }
  flash->store->undo = EM_NO_UNDO;
#if EM_ADAPT
  drop_staged(flash->store);
#endif
  const em_status status = unusable != NOWHERE ? wipe(flash, unusable) : EM_OK;
  return status != EM_OK ? status : scrub(flash);
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

static em_status format(em_flash* flash, const uint8_t* origin) {
  for (uint32_t sector = 0; sector < flash->device->sectors; ++sector) {
    const em_status status = erase(flash, sector);
    if (status != EM_OK) return status;
  }
  memcpy(flash->origin, origin, sizeof flash->origin);
  flash->sector = 0;
  flash->generation = 1;
  flash->end = FIRST_RECORD;
  return write_header(flash, 0, 1);
}

/* Formats the flash if it has nothing to lose: a header that was never whole, at most. */
static em_status format_blank(em_flash* flash, const uint8_t* origin) {
  for (uint32_t sector = 0; sector < flash->device->sectors; ++sector) {
    uint8_t blank;
    const em_status status = blank_from(flash, sector, sector == 0u ? FIRST_RECORD : 0u, &blank);
    if (status != EM_OK) return status;
    if (blank == 0u) return EM_CORRUPT_FLASH;
  }
  return format(flash, origin);
}

em_status em_flash_open(em_flash* flash, em_store* store, const em_flash_device* device, const uint8_t* origin) {
  if (flash == NULL || store == NULL || device == NULL || origin == NULL) return EM_BAD_ARGUMENT;
  if (device->sectors < 2u || device->sector_bytes % 64u != 0u || device->sector_bytes < 1024u || device->sector_bytes >> 24 != 0u) return EM_BAD_ARGUMENT;
  em_init(store);
  static const em_flash empty = {0};
  *flash = empty;
  flash->store = store;
  flash->device = device;
  uint8_t header[HEADER_BYTES], found[HEADER_BYTES] = {0}, state, any = 0;
  for (uint32_t sector = 0; sector < device->sectors; ++sector) {
    const em_status status = read_header(flash, sector, header, &state);
    if (status != EM_OK) return status;
    if (state == EM_BAD || (any != 0u && em_get32(&header[20]) < flash->generation)) continue;
    any = 1;
    flash->sector = sector;
    flash->generation = em_get32(&header[20]);
    memcpy(found, header, sizeof found);
  }
  em_status status;
  if (any == 0u) {
    status = format_blank(flash, origin);
  } else {
    memcpy(header, found, sizeof header);
    describe(header);
    header[10] = found[10];
    header[11] = found[11];
    em_put32(&header[56], device->sector_bytes);
    for (uint32_t i = 0; i < HEADER_BYTES; ++i) {
      if (header[i] != found[i]) return EM_WRONG_MODEL;
    }
    memcpy(flash->origin, &found[40], sizeof flash->origin);
    for (uint32_t sector = 0; sector < device->sectors; ++sector) { /* finish a compaction */
      status = sector == flash->sector ? EM_OK : erase(flash, sector);
      if (status != EM_OK) return status;
    }
    flash->opened = 1;
    status = load(flash);
    const uint16_t next_id = (uint16_t)(found[10] | found[11] << 8);
    if (next_id > store->next_id) store->next_id = next_id;
  }
  flash->opened = status == EM_OK;
  return status;
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

/* Appends the record in the buffer, which there must be room for. */
static em_status append(em_flash* flash, em_record* record) {
  em_seal_record(flash, record);
  record->at = flash->end;
  flash->end += record->bytes;
  return program_at(flash, flash->sector, record->at, flash->buffer, record->bytes);
}

static uint32_t record_bytes(uint32_t ids, uint32_t data) {
  const uint32_t bytes = EM_RECORD_HEADER + (ids > 0u ? 16u * ids + 4u : 0u) + (data > 0u ? (data + 3u) / 4u * 4u + 4u : 0u);
  return (bytes + EM_FLASH_UNIT - 1u) / EM_FLASH_UNIT * EM_FLASH_UNIT;
}

static em_status make_room(em_flash* flash, uint32_t bytes) {
  if (flash->opened == 0u) return EM_FLASH_FAILED;
  if (flash->end + bytes <= flash->device->sector_bytes) return EM_OK;
  const em_status status = em_flash_compact(flash);
  if (status != EM_OK) return status;
  return flash->end + bytes <= flash->device->sector_bytes ? EM_OK : EM_FLASH_FULL;
}

static void put_label(em_record* record, const char* label) {
  uint32_t length = 0;
  for (; label[length] != '\0'; ++length) record->data[1u + length] = (uint8_t)label[length];
  record->data[0] = (uint8_t)length;
}

static uint32_t text_bytes(const char* label) {
  uint32_t length = 0;
  while (length < EM_LABEL_BYTES && label[length] != '\0') length += 1u;
  return 1u + length;
}

/* Appends a shot, and notes where. */
static em_status append_shot(em_flash* flash, uint16_t of, const char* label, const em_value* shot, em_source* source) {
  const uint32_t length = text_bytes(label);
  em_record record = em_begin_record(flash, EM_SHOT, of, 1, length + sizeof flash->store->of[0].shot[0]);
  record.origin = source->origin;
  memcpy(record.id, source->id, 16);
  put_label(&record, label);
#if EM_INT8
  memcpy(&record.data[length], shot, EM_DIM);
#else
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    uint32_t bits;
    memcpy(&bits, &shot[i], sizeof bits);
    em_put32(&record.data[length + 4u * i], bits);
  }
#endif
  source->record = flash->end & 0xFFFFFFu;
  return append(flash, &record);
}

#if EM_ADAPT
static uint32_t head_bytes(const em_store* store) {
  uint32_t bytes = record_bytes(0, 0);
  for (uint32_t k = 0; k < store->classes; ++k) bytes += store->of[k].column.adapted != 0u ? record_bytes(0, 4u + 4u * EM_DIM) : 0u;
  return bytes;
}

/* Appends the columns of all classes, or of one alone, and the record that makes them count. */
static em_status append_head(em_flash* flash, uint16_t only) {
  const em_store* store = flash->store;
  uint16_t columns = 0;
  for (uint32_t k = 0; k < store->classes; ++k) {
    const em_class* of = &store->of[k];
    if (of->column.adapted == 0u || (only != 0u && of->id != only)) continue;
    em_record record = em_begin_record(flash, EM_COLUMN, of->id, 0, 4u + 4u * EM_DIM);
    for (uint32_t i = 0; i <= EM_DIM; ++i) {
      uint32_t bits;
      memcpy(&bits, i == 0u ? &of->column.bias : &of->column.weights[i - 1u], sizeof bits);
      em_put32(&record.data[4u * i], bits);
    }
    const em_status status = append(flash, &record);
    if (status != EM_OK) return status;
    columns = (uint16_t)(columns + 1u);
  }
  em_record record = em_begin_record(flash, EM_HEAD, columns, 0, 0);
  record.flags = only != 0u ? (uint8_t)EM_SOME_COLUMNS : 0u;
  return append(flash, &record);
}
#endif

/* --- changes ------------------------------------------------------------------------------------------------------- */

/* Appends a new shot of a class. */
static em_status append_new(em_flash* flash, uint16_t of, const char* label, const em_value* embedding, em_source* source) {
  const em_status status = make_room(flash, record_bytes(1, text_bytes(label) + sizeof flash->store->of[0].shot[0]) + SPARE);
  if (status != EM_OK) return status;
  flash->counter += 1u;
  memcpy(source->id, flash->origin, 12);
  em_put32(&source->id[12], flash->counter);
  source->origin = 0;
  return append_shot(flash, of, label, embedding, source);
}

em_status em_flash_enroll(em_flash* flash, const char* label, const em_value* embedding, uint16_t* id) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  em_store* store = flash->store;
  em_status status = em_check_enroll(store, label, embedding);
  if (status != EM_OK) return status;
  uint16_t of = em_find(store, label);
  if (of == 0u) of = store->next_id;
  em_source source;
  status = append_new(flash, of, label, embedding, &source);
  if (status == EM_OK) status = em_enroll(store, label, embedding, id);
  if (status != EM_OK) return status;
  em_class* made = em_class_of(store, of);
  made->source[made->shots - 1u] = source;
  return EM_OK;
}

/* Appends the removal of the shots of a class, or of the examples of none, from one on. */
static em_status append_removal(em_flash* flash, uint32_t index, uint32_t first, uint8_t flags) {
  const em_shots shots = em_shots_of(flash->store, index);
  const uint8_t count = (uint8_t)(*shots.count - first);
  const em_status status = make_room(flash, record_bytes(count, 0));
  if (status != EM_OK) return status;
  em_record record = em_begin_record(flash, EM_REMOVE, shots.id, count, 0);
  record.flags = flags;
  for (uint32_t i = 0; i < count; ++i) memcpy(&record.id[16u * i], shots.source[first + i].id, 16);
  return append(flash, &record);
}

#if EM_NONE > 0
em_status em_flash_enroll_none(em_flash* flash, const em_value* embedding) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  em_store* store = flash->store;
  em_source source;
  em_status status = em_check_none(store, embedding);
  if (status == EM_OK) status = append_new(flash, 0, "", embedding, &source);
  if (status == EM_OK) status = em_enroll_none(store, embedding);
  if (status == EM_OK) store->none_source[store->nones - 1u] = source;
  return status;
}

em_status em_flash_forget_none(em_flash* flash) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  if (flash->store->nones == 0u) return EM_NO_SUCH_CLASS;
  em_status status = append_removal(flash, flash->store->classes, 0, EM_KEEP_HEAD);
  if (status == EM_OK) status = em_forget_none(flash->store);
  return status == EM_OK ? scrub(flash) : status;
}
#endif

em_status em_flash_forget(em_flash* flash, uint16_t id) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  const em_class* of = em_class_of(flash->store, id);
  if (of == NULL) return EM_NO_SUCH_CLASS;
  em_status status = append_removal(flash, (uint32_t)(of - flash->store->of), 0, 0);
  if (status == EM_OK) status = em_forget(flash->store, id);
  return status == EM_OK ? scrub(flash) : status;
}

em_status em_flash_rename(em_flash* flash, uint16_t id, const char* label) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  em_class* of = em_class_of(flash->store, id);
  if (of == NULL) return EM_NO_SUCH_CLASS;
  em_status status = em_check_name(flash->store, label, id);
  if (status == EM_OK) status = make_room(flash, record_bytes(2u * of->shots, text_bytes(label)) + SPARE);
  if (status != EM_OK) return status;
  em_record record = em_begin_record(flash, EM_RENAME, id, (uint8_t)(2u * of->shots), text_bytes(label));
  put_label(&record, label);
  for (uint32_t i = 0; i < of->shots; ++i) {
    memcpy(&record.id[16u * i], of->source[i].id, 16);
    em_renamed_id(of->source[i].id, of->shot[i], label, &record.id[16u * (of->shots + i)]);
  }
  status = append(flash, &record);
  if (status != EM_OK) return status;
  for (uint32_t i = 0; i < of->shots; ++i) memcpy(of->source[i].id, &record.id[16u * (of->shots + i)], 16);
  return em_rename(flash->store, id, label);
}

em_status em_flash_undo(em_flash* flash) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  em_store* store = flash->store;
  const uint16_t id = store->undo_id;
  const em_class* of = em_class_of(store, id);
  em_status status;
  if (store->undo == EM_NO_UNDO) return EM_NOTHING_TO_UNDO;
  if (store->undo == EM_UNDO_RENAME) {
    char label[EM_LABEL_BYTES + 1];
    em_set_label(label, store->undo_label);
    status = em_flash_rename(flash, id, label);
    if (status == EM_OK) store->undo = EM_NO_UNDO;
    return status;
  }
  uint32_t bytes = record_bytes(1, 0);
#if EM_ADAPT
  const uint32_t columns = store->undo == EM_UNDO_ADAPT ? store->classes : 1u;
  bytes += record_bytes(0, 4u + 4u * EM_DIM) * columns + record_bytes(0, 0);
#endif
  status = make_room(flash, bytes);
  if (status == EM_OK && store->undo == EM_UNDO_ENROLL) {
    status = append_removal(flash, (uint32_t)(of - store->of), of->shots - 1u, EM_KEEP_HEAD);
  }
#if EM_NONE > 0
  if (status == EM_OK && store->undo == EM_UNDO_NONE) {
    status = append_removal(flash, store->classes, store->nones - 1u, EM_KEEP_HEAD);
  }
#endif
#if EM_ADAPT
  const uint8_t adapt = store->undo == EM_UNDO_ADAPT;
#endif
  if (status == EM_OK) status = em_undo(store);
#if EM_ADAPT
  of = em_class_of(store, id);
  if (status == EM_OK && (adapt != 0u || (of != NULL && of->column.adapted != 0u))) status = append_head(flash, adapt != 0u ? 0u : id);
#endif
  return status == EM_OK ? scrub(flash) : status;
}

#if EM_ADAPT
em_status em_flash_adapt(em_flash* flash, const float* rates, uint8_t steps, uint8_t trusted, em_adapted* result) {
  if (flash == NULL) return EM_BAD_ARGUMENT;
  em_store* store = flash->store;
  em_status status = make_room(flash, record_bytes(0, 0) + record_bytes(0, 4u + 4u * EM_DIM) * store->classes + SPARE);
  if (status == EM_OK) status = em_adapt(store, rates, steps, trusted, result);
  if (status == EM_OK) status = append_head(flash, 0);
  return status == EM_OK ? scrub(flash) : status;
}
#endif

/* --- compacting ---------------------------------------------------------------------------------------------------- */

/* Copies what must outlive its records from the old sector: origins, and ids of removed shots, each by one. */
static em_status copy_rest(em_flash* flash, uint32_t from) {
  const uint32_t to = flash->sector;
  uint32_t at = FIRST_RECORD;
  em_record record;
  uint8_t kind;
  for (;;) {
    flash->sector = from;
    em_status status = next_record(flash, &at, &record, &kind);
    flash->sector = to;
    if (status != EM_OK || kind == END) return status;
    if (kind != RECORD || record.ids_state == EM_BAD) continue;
    const uint8_t removed = record.type == EM_REMOVE ? record.ids : record.type == EM_RENAME ? record.ids / 2u : 0u;
    if (removed == 0u && record.type != EM_ORIGIN) continue;
    em_record copy = record;
    copy.type = record.type == EM_ORIGIN ? (uint8_t)EM_ORIGIN : (uint8_t)EM_REMOVE;
    copy.of = 0;
    copy.ids = record.type == EM_ORIGIN ? 1u : removed;
    copy.flags = EM_KEEP_HEAD;
    copy.data_bytes = 0;
    copy.bytes = record_bytes(copy.ids, 0);
    for (uint32_t i = EM_RECORD_HEADER + 16u * copy.ids; i < copy.bytes; ++i) flash->buffer[i] = 0;
    if (flash->end + copy.bytes > flash->device->sector_bytes) return EM_FLASH_FULL;
    status = append(flash, &copy);
    if (status != EM_OK) return status;
  }
}

static em_status copy_live(em_flash* flash, uint32_t from) {
  em_store* store = flash->store;
  const uint32_t size = flash->device->sector_bytes;
  em_status status = copy_rest(flash, from);
  for (uint32_t k = 0; k < EM_GROUPS(store) && status == EM_OK; ++k) {
    const em_shots shots = em_shots_of(store, k);
    for (uint32_t s = 0; s < *shots.count && status == EM_OK; ++s) {
      if (flash->end + record_bytes(1, text_bytes(shots.label) + sizeof shots.shot[0]) > size) return EM_FLASH_FULL;
      em_source source = shots.source[s]; /* its record's place counts when all are copied */
      status = append_shot(flash, shots.id, shots.label, shots.shot[s], &source);
    }
  }
#if EM_ADAPT
  if (status == EM_OK && em_is_adapted(store) != 0u) {
    if (flash->end + head_bytes(store) > size) return EM_FLASH_FULL;
    status = append_head(flash, 0);
  }
#endif
  return status;
}

/* Notes where the records of the shots are. */
static em_status find_records(em_flash* flash) {
  uint32_t at = FIRST_RECORD;
  em_record record;
  uint8_t kind;
  for (;;) {
    const em_status status = next_record(flash, &at, &record, &kind);
    if (status != EM_OK || kind == END) return status;
    if (kind != RECORD || record.type != EM_SHOT) continue;
    em_source* source = place_of(flash->store, record.id).source;
    if (source != NULL) source->record = record.at & 0xFFFFFFu;
  }
}

em_status em_flash_compact(em_flash* flash) {
  if (flash == NULL || flash->opened == 0u) return EM_FLASH_FAILED;
  const uint32_t from = flash->sector, to = (from + 1u) % flash->device->sectors, end = flash->end;
  em_status status = erase(flash, to);
  if (status != EM_OK) return status;
  flash->sector = to;
  flash->end = FIRST_RECORD;
  status = copy_live(flash, from);
  if (status == EM_OK) status = write_header(flash, to, flash->generation + 1u); /* from here on it counts */
  if (status != EM_OK) {
    flash->sector = from;
    flash->end = end;
    return status == EM_FLASH_FULL && erase(flash, to) != EM_OK ? EM_FLASH_FAILED : status;
  }
  flash->generation += 1u;
  status = find_records(flash);
  return status == EM_OK ? erase(flash, from) : status;
}

#endif /* EM_FLASH */
