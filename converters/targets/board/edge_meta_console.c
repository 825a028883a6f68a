/* The line protocol; see edge_meta_console.h. */
#include "edge_meta_console.h"

#include "edge_meta_internal.h"

static void put_text(const em_console* console, const char* text) {
  for (; *text != '\0'; ++text) console->put(console->context, *text);
}

static void put_number(const em_console* console, uint32_t number) {
  char digits[10];
  uint32_t count = 0;
  do {
    digits[count] = (char)('0' + number % 10u);
    number /= 10u;
    count += 1u;
  } while (number != 0u);
  console->put(console->context, ' ');
  while (count > 0u) {
    count -= 1u;
    console->put(console->context, digits[count]);
  }
}

static void put_hex(const em_console* console, uint32_t value, uint32_t digits) {
  for (; digits > 0u; --digits) console->put(console->context, "0123456789abcdef"[(value >> (4u * (digits - 1u))) & 15u]);
}

static void put_float(const em_console* console, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  console->put(console->context, ' ');
  put_hex(console, bits, 8);
}

/* Cuts the next word off. */
static char* word(char** rest) {
  char* begin = *rest;
  while (**rest != '\0' && **rest != ' ') *rest += 1;
  if (**rest == ' ') {
    **rest = '\0';
    *rest += 1;
  }
  return begin;
}

static uint8_t same(const char* one, const char* other) {
  for (; *one != '\0' && *one == *other; ++one) ++other;
  return *one == *other;
}

/* A decimal number; above `most` if it is none, or larger. */
static uint32_t number_of(const char* text, uint32_t most) {
  uint32_t number = 0;
  if (*text == '\0') return most + 1u;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return most + 1u;
    number = 10u * number + (uint32_t)(*text - '0');
    if (number > most) return most + 1u;
  }
  return number;
}

static uint32_t digit_of(char digit) {
  if (digit >= '0' && digit <= '9') return (uint32_t)(digit - '0');
  return digit >= 'a' && digit <= 'f' ? (uint32_t)(digit - 'a') + 10u : 16u;
}

/* Decodes hexadecimal digits over themselves; returns the number of bytes, 0 if they are none. */
static uint32_t decode(char* text) {
  uint8_t* to = (uint8_t*)text;
  uint32_t count = 0;
  for (; text[2u * count] != '\0'; ++count) {
    const uint32_t high = digit_of(text[2u * count]), low = digit_of(text[2u * count + 1u]);
    if (high > 15u || low > 15u) return 0;
    to[count] = (uint8_t)(16u * high + low);
  }
  return count;
}

/* Reads "e HEX", an embedding, or "i HEX", an input to embed. */
static em_status read_example(const em_console* console, char** rest, em_value* embedding) {
  const char* kind = word(rest);
  char* hex = word(rest);
  const uint32_t bytes = decode(hex);
  const uint8_t* given = (const uint8_t*)hex;
  if (same(kind, "e") != 0u && bytes == sizeof(em_value) * EM_DIM) {
    memcpy(embedding, given, bytes); /* floats as the board's processor has them: little-endian */
    return EM_OK;
  }
  if (same(kind, "i") == 0u || bytes != EM_INPUT_BYTES || console->embed == NULL) return EM_BAD_ARGUMENT;
  return console->embed(console->context, given, embedding) == 0 ? EM_OK : EM_BAD_ARGUMENT;
}

static em_status list(const em_console* console) {
  for (uint32_t k = 0; k < console->store->classes; ++k) {
    const em_class* of = &console->store->of[k];
    put_text(console, "class");
    put_number(console, of->id);
    put_number(console, of->shots);
    put_float(console, em_limit(console->store, of->id));
    console->put(console->context, ' ');
    put_text(console, of->label);
    console->put(console->context, '\n');
  }
#if EM_NONE > 0
  if (console->store->nones > 0u) {
    put_text(console, "none");
    put_number(console, console->store->nones);
    console->put(console->context, '\n');
  }
#endif
  return EM_OK;
}

#if EM_NONE > 0
static em_status enroll_none(const em_console* console, char* rest) {
  em_value embedding[EM_DIM];
  const em_status status = read_example(console, &rest, embedding);
  if (status != EM_OK) return status;
#if EM_FLASH
  if (console->flash != NULL) return em_flash_enroll_none(console->flash, embedding);
#endif
  return em_enroll_none(console->store, embedding);
}

static em_status forget_none(const em_console* console) {
#if EM_FLASH
  if (console->flash != NULL) return em_flash_forget_none(console->flash);
#endif
  return em_forget_none(console->store);
}
#endif

static em_status prototype(const em_console* console, uint16_t id) {
  const em_class* of = em_class_of(console->store, id);
  if (of == NULL) return EM_NO_SUCH_CLASS;
  put_text(console, "prototype");
  for (uint32_t i = 0; i < EM_DIM; ++i) put_float(console, of->prototype[i]);
  console->put(console->context, '\n');
  return EM_OK;
}

static em_status embed(const em_console* console, char* rest) {
  em_value embedding[EM_DIM];
  const em_status status = read_example(console, &rest, embedding);
  if (status != EM_OK) return status;
  put_text(console, "embedding ");
  for (uint32_t i = 0; i < sizeof embedding; ++i) put_hex(console, ((const uint8_t*)embedding)[i], 2);
  console->put(console->context, '\n');
  return EM_OK;
}

static em_status classify(const em_console* console, char* rest) {
  em_value embedding[EM_DIM];
  em_answer answer;
  em_status status = read_example(console, &rest, embedding);
  if (status == EM_OK) status = em_classify(console->store, embedding, &answer);
  if (status != EM_OK) return status;
  put_text(console, answer.known != 0u ? "known\n" : "unknown\n");
  for (uint32_t i = 0; i < answer.count; ++i) {
    put_text(console, "match");
    put_number(console, answer.top[i].id);
    put_float(console, answer.top[i].distance);
    put_float(console, answer.top[i].score);
    console->put(console->context, ' ');
    put_text(console, answer.top[i].label);
    console->put(console->context, '\n');
  }
  return EM_OK;
}

static em_status enroll(const em_console* console, char* rest) {
  em_value embedding[EM_DIM];
  uint16_t id;
  em_status status = read_example(console, &rest, embedding);
  if (status != EM_OK) return status;
#if EM_FLASH
  if (console->flash != NULL) {
    status = em_flash_enroll(console->flash, rest, embedding, &id);
  } else {
    status = em_enroll(console->store, rest, embedding, &id);
  }
#else
  status = em_enroll(console->store, rest, embedding, &id);
#endif
  if (status != EM_OK) return status;
  put_text(console, "enrolled");
  put_number(console, id);
  console->put(console->context, '\n');
  return EM_OK;
}

#if EM_ADAPT
/* "adapt STEPS RATE TRUSTED", the rate as the bits of a float. */
static em_status adapt(const em_console* console, char* rest) {
  float rates[EM_ADAPT_STEPS];
  const uint32_t steps = number_of(word(&rest), EM_ADAPT_STEPS);
  const char* rate = word(&rest);
  uint32_t bits = 0, digits = 0;
  for (; rate[digits] != '\0' && digit_of(rate[digits]) < 16u && digits < 8u; ++digits) bits = bits << 4 | digit_of(rate[digits]);
  const uint32_t trusted = number_of(word(&rest), 1);
  if (steps > EM_ADAPT_STEPS || digits != 8u || rate[digits] != '\0' || trusted > 1u) return EM_BAD_ARGUMENT;
  for (uint32_t i = 0; i < steps; ++i) memcpy(&rates[i], &bits, sizeof bits);
  em_adapted result;
  em_status status;
#if EM_FLASH
  if (console->flash != NULL) {
    status = em_flash_adapt(console->flash, rates, (uint8_t)steps, (uint8_t)trusted, &result);
  } else {
    status = em_adapt(console->store, rates, (uint8_t)steps, (uint8_t)trusted, &result);
  }
#else
  status = em_adapt(console->store, rates, (uint8_t)steps, (uint8_t)trusted, &result);
#endif
  if (status != EM_OK) return status;
  put_text(console, "adapted");
  put_number(console, result.steps);
  put_number(console, result.judged);
  put_float(console, result.before);
  put_float(console, result.after);
  console->put(console->context, '\n');
  return EM_OK;
}
#endif

static em_status change(const em_console* console, const char* command, char* rest) {
  const uint32_t id = number_of(word(&rest), UINT16_MAX);
#if EM_FLASH
  if (console->flash != NULL) {
    if (same(command, "undo") != 0u) return em_flash_undo(console->flash);
    if (id > UINT16_MAX) return EM_BAD_ARGUMENT;
    return same(command, "forget") != 0u ? em_flash_forget(console->flash, (uint16_t)id)
                                         : em_flash_rename(console->flash, (uint16_t)id, rest);
  }
#endif
  if (same(command, "undo") != 0u) return em_undo(console->store);
  if (id > UINT16_MAX) return EM_BAD_ARGUMENT;
  return same(command, "forget") != 0u ? em_forget(console->store, (uint16_t)id)
                                       : em_rename(console->store, (uint16_t)id, rest);
}

/* What the desk has to know of this program. */
static em_status info(const em_console* console) {
  static const uint8_t encoder[16] = EM_ENCODER_ID;
  float scale = 0.0f;
  uint32_t zero_point = 0; /* of int8: plus 128, so that it has no sign */
#if EM_INT8
  scale = EM_SCALE;
  zero_point = (uint32_t)(EM_ZERO_POINT + 128);
#endif
  put_text(console, "encoder ");
  for (uint32_t i = 0; i < sizeof encoder; ++i) put_hex(console, encoder[i], 2);
  put_text(console, "\nvalues");
  put_number(console, EM_DIM);
  put_number(console, EM_INT8);
  put_float(console, scale);
  put_number(console, zero_point);
  put_text(console, "\ninput");
  put_number(console, EM_INPUT_BYTES);
  put_text(console, "\nlimits");
  put_number(console, EM_CLASSES);
  put_number(console, EM_SHOTS);
  put_number(console, EM_NONE);
  put_number(console, EM_LABEL_BYTES);
  put_text(console, "\narena");
  put_number(console, console->arena_bytes);
  console->put(console->context, '\n');
#if EM_FLASH
  if (console->flash != NULL) {
    put_text(console, "flash");
    put_number(console, console->flash->device->sector_bytes);
    put_number(console, console->flash->device->sectors);
    put_number(console, EM_FLASH_UNIT);
    put_number(console, console->flash->sector);
    put_number(console, console->flash->generation);
    console->put(console->context, '\n');
  }
#endif
  return EM_OK;
}

#if EM_FLASH
/* "read ADDRESS BYTES" */
static em_status read_flash(const em_console* console, char* rest) {
  const em_flash_device* device = console->flash->device;
  const uint32_t size = device->sector_bytes * device->sectors;
  const uint32_t address = number_of(word(&rest), size), count = number_of(word(&rest), EM_CONSOLE_READ);
  uint8_t bytes[EM_CONSOLE_READ];
  if (address >= size || count > EM_CONSOLE_READ || count > size - address) return EM_BAD_ARGUMENT;
  if (device->read(device->context, address, bytes, count) != 0) return EM_FLASH_FAILED;
  put_text(console, "data ");
  for (uint32_t i = 0; i < count; ++i) put_hex(console, bytes[i], 2);
  console->put(console->context, '\n');
  return EM_OK;
}

/* "erase", or "program AT HEX": of the sector after the one in use, so that what is in use stays until it is whole. */
static em_status change_next(const em_console* console, const char* command, char* rest) {
  const em_flash_device* device = console->flash->device;
  const uint32_t begin = (console->flash->sector + 1u) % device->sectors * device->sector_bytes;
  if (same(command, "erase") != 0u) return device->erase(device->context, begin) == 0 ? EM_OK : EM_FLASH_FAILED;
  const uint32_t at = number_of(word(&rest), device->sector_bytes - 1u);
  uint8_t* bytes = (uint8_t*)rest;
  const uint32_t count = decode(rest);
  if (at >= device->sector_bytes || count == 0u || count > device->sector_bytes - at) return EM_BAD_ARGUMENT;
  if (at % EM_FLASH_UNIT != 0u || count % EM_FLASH_UNIT != 0u) return EM_BAD_ARGUMENT;
  if (device->program(device->context, begin + at, bytes, count) != 0) return EM_FLASH_FAILED;
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t stored;
    if (device->read(device->context, begin + at + i, &stored, 1) != 0 || stored != bytes[i]) return EM_FLASH_FAILED;
  }
  return EM_OK;
}

/* Opens the flash again, after its next sector was written. */
static em_status open_again(const em_console* console) {
  uint8_t origin[16];
  memcpy(origin, console->flash->origin, sizeof origin);
  return em_flash_open(console->flash, console->store, console->flash->device, origin);
}
#endif

void em_console_run(const em_console* console, char* line) {
  char* rest = line;
  const char* command = word(&rest);
  em_status status = EM_BAD_ARGUMENT;
  if (same(command, "list") != 0u) status = list(console);
  if (same(command, "prototype") != 0u) status = prototype(console, (uint16_t)number_of(word(&rest), UINT16_MAX - 1u));
  if (same(command, "embed") != 0u) status = embed(console, rest);
  if (same(command, "classify") != 0u) status = classify(console, rest);
  if (same(command, "enroll") != 0u) status = enroll(console, rest);
#if EM_NONE > 0
  if (same(command, "none") != 0u) status = enroll_none(console, rest);
  if (same(command, "forget-none") != 0u) status = forget_none(console);
#endif
#if EM_ADAPT
  if (same(command, "adapt") != 0u) status = adapt(console, rest);
#endif
  if (same(command, "info") != 0u) status = info(console);
#if EM_FLASH
  if (console->flash != NULL) {
    if (same(command, "compact") != 0u) status = em_flash_compact(console->flash);
    if (same(command, "read") != 0u) status = read_flash(console, rest);
    if (same(command, "erase") != 0u || same(command, "program") != 0u) status = change_next(console, command, rest);
    if (same(command, "open") != 0u) status = open_again(console);
  }
#endif
  if (same(command, "forget") != 0u || same(command, "rename") != 0u || same(command, "undo") != 0u) {
    status = change(console, command, rest);
  }
  put_text(console, status == EM_OK ? "ok" : "error ");
  if (status != EM_OK) put_text(console, em_status_name(status));
  console->put(console->context, '\n');
}
