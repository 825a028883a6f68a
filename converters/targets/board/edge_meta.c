/* Enroll, forget, rename, undo, classify; see edge_meta.h. */
#include "edge_meta_internal.h"

#include <float.h>

/* How many shots the calibration's spread weighs as, and others from which on a wider limit counts in full: as in Python's
 * heads/rejection.py and heads/store_evidence.py. */
#define PRIOR_SHOTS 8.0f
#define CERTAIN_LABELS 8.0f
#define OWN_DISTANCES 1.5f
#define OWN_WEIGHT 0.2f
#define LEAST_SHARE 0.25f
#define NONE_FACTOR 1.7f /* as in Python's heads/none_points.py */
#define EVIDENCE_SHOTS (EM_SHOTS < 5 ? EM_SHOTS : 5)
#define FRACTION_BITS 24 /* of the exact sums, in units of 2^-24 */
#define LARGEST 32768.0f

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* --- arithmetic -------------------------------------------------------------------------------------------------- */

float em_exp(float x) {
  if (x < -87.0f) return 0.0f;
  if (x > 88.0f) return FLT_MAX;
  const float scaled = x * 1.44269504f;
  const int32_t power = (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
  const float r = (x - (float)power * 0.693359375f) + (float)power * 2.12194440e-4f; /* x - power * ln 2, in two parts */
  float sum = 1.9875691e-4f;
  sum = sum * r + 1.3981999e-3f;
  sum = sum * r + 8.3334519e-3f;
  sum = sum * r + 4.1665796e-2f;
  sum = sum * r + 1.6666665e-1f;
  sum = sum * r + 0.5f;
  sum = sum * r * r + r + 1.0f;
  return sum * float_of((uint32_t)(power + 127) << 23);
}

float em_log(float x) {
  const uint32_t bits = bits_of(x);
  int32_t power = (int32_t)(bits >> 23) - 127;
  float m = float_of((bits & 0x007FFFFFu) | 0x3F800000u);
  if (m > 1.41421356f) {
    m *= 0.5f;
    power += 1;
  }
  const float s = (m - 1.0f) / (m + 1.0f); /* log m = 2 (s + s^3 / 3 + s^5 / 5 + ...) */
  const float z = s * s;
  const float series = 2.0f * s * (1.0f + z * (0.333333333f + z * (0.2f + z * (0.142857143f + z * 0.111111111f))));
  return ((float)power * -2.12194440e-4f + series) + (float)power * 0.693359375f;
}

static float value_of(em_value value) {
#if EM_INT8
  return (float)((int32_t)value - EM_ZERO_POINT) * EM_SCALE;
#else
  return value;
#endif
}

void em_values(const em_value* embedding, float* values) {
  for (uint32_t i = 0; i < EM_DIM; ++i) values[i] = value_of(embedding[i]);
}

float em_distance(const float* point, const em_value* embedding) {
  float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f}; /* of four, since short sums round less */
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    const float difference = point[i] - value_of(embedding[i]);
    sums[i & 3u] += difference * difference;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* bits / 2^drop rounded to the nearest, halves to the even one; `more` says that the bits have a fraction. drop is above 0. */
static uint64_t rounded(uint64_t bits, uint32_t drop, uint32_t more) {
  const uint64_t half = (uint64_t)1 << (drop - 1u), rest = bits & ((half << 1) - 1u), whole = bits >> drop;
  return whole + (rest > half || (rest == half && (more != 0u || (whole & 1u) != 0u)) ? 1u : 0u);
}

/* A value in units of 2^-24, rounded to the nearest, halves to the even one. */
static int64_t fixed_of(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t exponent = (bits >> 23) & 0xFFu;
  if (exponent < 127u - FRACTION_BITS - 1u) return 0; /* below half of a unit; subnormal numbers too */
  const uint64_t mantissa = (bits & 0x007FFFFFu) | 0x00800000u; /* of 2^(exponent - 150 + 24) */
  const uint64_t units = exponent >= 126u ? mantissa << (exponent - 126u) : rounded(mantissa, 126u - exponent, 0);
  return (bits >> 31) != 0u ? -(int64_t)units : (int64_t)units;
}

/* total / count, total in units of 2^-24, rounded once, halves to the even float. |total| is below 2^46. */
static float mean_of(int64_t total, uint32_t count) {
  if (total == 0) return 0.0f;
  uint64_t dividend = total < 0 ? (uint64_t)0 - (uint64_t)total : (uint64_t)total;
  uint32_t shift = 0, drop = 24; /* at least 30 in the end, so that what is dropped decides the rounding */
  for (; (dividend >> 62) == 0u; ++shift) dividend <<= 1;
  const uint64_t quotient = dividend / count;
  while ((quotient >> (drop + 24u)) != 0u) drop += 1u;
  const uint32_t mantissa = (uint32_t)rounded(quotient, drop, quotient * count != dividend);
  const uint32_t exponent = 127u + 23u - FRACTION_BITS + drop - shift;
  /* A carry to 2^24 goes on into the exponent, as it must. */
  return float_of(((exponent << 23) + (mantissa - 0x00800000u)) | (total < 0 ? 0x80000000u : 0u));
}

/* --- classes ----------------------------------------------------------------------------------------------------- */

em_class* em_class_of(em_store* store, uint16_t id) {
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (store->of[k].id == id) return &store->of[k];
  }
  return NULL;
}

static uint8_t same_text(const char* one, const char* other) {
  while (*one != '\0' && *one == *other) {
    ++one;
    ++other;
  }
  return *one == *other;
}

uint16_t em_find(const em_store* store, const char* label) {
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (same_text(store->of[k].label, label) != 0u) return store->of[k].id;
  }
  return 0;
}

/* The bytes of the UTF-8 character that text begins with; 0 if it is none (RFC 3629). */
static uint32_t utf8_bytes(const uint8_t* text) {
  static const uint32_t least[5] = {0, 0, 0x80u, 0x800u, 0x10000u};
  const uint32_t first = text[0];
  if (first < 0x80u) return 1;
  const uint32_t bytes = first >= 0xF0u ? 4u : first >= 0xE0u ? 3u : 2u;
  if (first < 0xC2u || first > 0xF4u) return 0;
  uint32_t code = first & (0x7Fu >> bytes);
  for (uint32_t i = 1; i < bytes; ++i) {
    if ((text[i] & 0xC0u) != 0x80u) return 0; /* the closing zero too, so nothing beyond it is read */
    code = (code << 6) | (text[i] & 0x3Fu);
  }
  return code < least[bytes] || code > 0x10FFFFu || (code >= 0xD800u && code <= 0xDFFFu) ? 0u : bytes;
}

em_status em_check_label(const char* label) {
  if (label == NULL) return EM_BAD_ARGUMENT;
  const uint8_t* text = (const uint8_t*)label;
  uint32_t length = 0;
  uint8_t blank = 1;
  while (text[length] != 0u) {
    const uint32_t bytes = utf8_bytes(&text[length]);
    if (bytes == 0u) return EM_LABEL_NOT_UTF8;
    if (text[length] > 0x20u) blank = 0;
    length += bytes;
    if (length > EM_LABEL_BYTES) return EM_LABEL_TOO_LONG;
  }
  return blank != 0u ? EM_LABEL_EMPTY : EM_OK;
}

void em_set_label(char* to, const char* label) {
  uint32_t i = 0;
  for (; i < EM_LABEL_BYTES && label[i] != '\0'; ++i) to[i] = label[i];
  for (; i <= EM_LABEL_BYTES; ++i) to[i] = '\0'; /* nothing of a former label stays */
}

em_status em_check_embedding(const em_value* embedding) {
  if (embedding == NULL) return EM_BAD_ARGUMENT;
#if !EM_INT8
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    if (!(embedding[i] < LARGEST && embedding[i] > -LARGEST)) return EM_NOT_FINITE;
  }
#endif
  return EM_OK;
}

static void clear(void* memory, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; ++i) ((uint8_t*)memory)[i] = 0;
}

/* Computes what follows from a class's shots. */
static void settle(em_store* store, em_class* of) {
  for (uint32_t i = 0; i < EM_DIM; ++i) {
    int64_t total = 0;
    for (uint32_t shot = 0; shot < of->shots; ++shot) total += fixed_of(value_of(of->shot[shot][i]));
    of->prototype[i] = mean_of(total, of->shots);
  }
  of->scatter = 0.0f;
  for (uint32_t shot = 0; shot < of->shots; ++shot) of->scatter += em_distance(of->prototype, of->shot[shot]);
  store->fresh = 0;
}

void em_init(em_store* store) {
  clear(store, sizeof *store);
  store->next_id = 1;
}

em_class* em_add_shot(em_store* store, uint16_t id, const char* label, const em_value* embedding) {
  em_class* of = em_class_of(store, id);
  if (of == NULL) {
    of = &store->of[store->classes];
    store->classes = (uint8_t)(store->classes + 1u);
    of->id = id;
    of->shots = 0;
    em_set_label(of->label, label);
    if (id >= store->next_id) store->next_id = (uint16_t)(id + 1u);
  }
  memcpy(of->shot[of->shots], embedding, sizeof of->shot[0]);
  of->shots = (uint8_t)(of->shots + 1u);
#if EM_ADAPT
  of->column.adapted = 0;
#endif
  settle(store, of);
  return of;
}

em_shots em_shots_of(em_store* store, uint32_t index) {
  em_shots shots;
#if EM_NONE > 0
  if (index >= store->classes) {
    shots.id = 0;
    shots.label = "";
    shots.count = &store->nones;
    shots.shot = store->none;
#if EM_FLASH
    shots.source = store->none_source;
#endif
    return shots;
  }
#endif
  em_class* of = &store->of[index];
  shots.id = of->id;
  shots.label = of->label;
  shots.count = &of->shots;
  shots.shot = of->shot;
#if EM_FLASH
  shots.source = of->source;
#endif
  return shots;
}

static void remove_class(em_store* store, em_class* of) {
  store->classes = (uint8_t)(store->classes - 1u);
  em_class* const end = &store->of[store->classes];
  for (; of < end; ++of) *of = of[1];
  clear(end, sizeof *end); /* nothing of a removed class stays in memory */
  store->fresh = 0;
}

void em_remove_shot(em_store* store, uint32_t index, uint32_t shot) {
  const em_shots shots = em_shots_of(store, index);
  const uint32_t left = *shots.count - 1u;
  *shots.count = (uint8_t)left;
  for (uint32_t i = shot; i < left; ++i) {
    memcpy(shots.shot[i], shots.shot[i + 1u], sizeof shots.shot[i]);
#if EM_FLASH
    shots.source[i] = shots.source[i + 1u];
#endif
  }
  clear(shots.shot[left], sizeof shots.shot[left]); /* nothing of a removed shot stays in memory */
  if (shots.id == 0u) return;
  em_class* of = &store->of[index];
  if (left == 0u) {
    remove_class(store, of);
  } else {
    settle(store, of);
  }
}

#if EM_NONE > 0
em_status em_check_none(const em_store* store, const em_value* embedding) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  const em_status status = em_check_embedding(embedding);
  return status == EM_OK && store->nones >= EM_NONE ? EM_NONE_FULL : status;
}

void em_add_none(em_store* store, const em_value* embedding) {
  memcpy(store->none[store->nones], embedding, sizeof store->none[0]);
  store->nones = (uint8_t)(store->nones + 1u);
}
#endif

/* --- changes ----------------------------------------------------------------------------------------------------- */

em_status em_check_enroll(em_store* store, const char* label, const em_value* embedding) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  em_status status = em_check_label(label);
  if (status == EM_OK) status = em_check_embedding(embedding);
  if (status != EM_OK) return status;
  const em_class* of = em_class_of(store, em_find(store, label));
  if (of == NULL) return store->classes >= EM_CLASSES || store->next_id == UINT16_MAX ? EM_CLASSES_FULL : EM_OK;
  return of->shots >= EM_SHOTS ? EM_SHOTS_FULL : EM_OK;
}

em_status em_enroll(em_store* store, const char* label, const em_value* embedding, uint16_t* id) {
  const em_status status = em_check_enroll(store, label, embedding);
  if (status != EM_OK) return status;
  uint16_t of = em_find(store, label);
  if (of == 0u) of = store->next_id;
#if EM_ADAPT
  em_keep_columns(store);
#endif
  (void)em_add_shot(store, of, label, embedding);
  store->undo = EM_UNDO_ENROLL;
  store->undo_id = of;
  if (id != NULL) *id = of;
  return EM_OK;
}

#if EM_NONE > 0
em_status em_enroll_none(em_store* store, const em_value* embedding) {
  const em_status status = em_check_none(store, embedding);
  if (status != EM_OK) return status;
  em_add_none(store, embedding);
  store->undo = EM_UNDO_NONE;
  store->undo_id = 0;
  return EM_OK;
}

em_status em_forget_none(em_store* store) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  if (store->nones == 0u) return EM_NO_SUCH_CLASS;
  clear(store->none, sizeof store->none);
  store->nones = 0;
  if (store->undo == EM_UNDO_NONE) store->undo = EM_NO_UNDO;
  return EM_OK;
}
#endif

em_status em_forget(em_store* store, uint16_t id) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  em_class* of = em_class_of(store, id);
  if (of == NULL) return EM_NO_SUCH_CLASS;
  remove_class(store, of);
#if EM_ADAPT
  (void)em_drop_head(store);
  em_keep_columns(store); /* an earlier head was fitted to the shots as well */
#endif
  store->undo = EM_NO_UNDO;
  em_set_label(store->undo_label, "");
  return EM_OK;
}

em_status em_check_name(const em_store* store, const char* label, uint16_t id) {
  const em_status status = em_check_label(label);
  if (status != EM_OK) return status;
  const uint16_t other = em_find(store, label);
  return other != 0u && other != id ? EM_LABEL_TAKEN : EM_OK;
}

em_status em_rename(em_store* store, uint16_t id, const char* label) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  em_class* of = em_class_of(store, id);
  if (of == NULL) return EM_NO_SUCH_CLASS;
  const em_status status = em_check_name(store, label, id);
  if (status != EM_OK) return status;
  em_set_label(store->undo_label, of->label);
  em_set_label(of->label, label);
  store->undo = EM_UNDO_RENAME;
  store->undo_id = id;
  return EM_OK;
}

em_status em_undo(em_store* store) {
  if (store == NULL) return EM_BAD_ARGUMENT;
  if (store->undo == EM_NO_UNDO) return EM_NOTHING_TO_UNDO;
  em_class* of = em_class_of(store, store->undo_id); /* null of an adapt or an example of none; otherwise it is there */
  if (store->undo == EM_UNDO_RENAME) {
    em_set_label(of->label, store->undo_label);
#if EM_NONE > 0
  } else if (store->undo == EM_UNDO_NONE) {
    em_remove_shot(store, store->classes, store->nones - 1u);
#endif
  } else {
#if EM_ADAPT
    em_restore_columns(store);
#endif
    if (store->undo == EM_UNDO_ENROLL) em_remove_shot(store, (uint32_t)(of - store->of), of->shots - 1u);
  }
  store->undo = EM_NO_UNDO;
  store->fresh = 0;
  return EM_OK;
}

/* --- limits of known --------------------------------------------------------------------------------------------- */

#if EM_REJECTS
/* Of the numbers for 1 to 64 classes, those for EM_CLASSES. */
#if EM_CLASSES <= 16
#define CALIBRATED(numbers) numbers##_16
#elif EM_CLASSES <= 32
#define CALIBRATED(numbers) numbers##_16, numbers##_32
#else
#define CALIBRATED(numbers) numbers##_16, numbers##_32, numbers##_64
#endif

static void calibrated_limits(em_store* store) {
  static const float few[] = {CALIBRATED(EM_FAR_FEW)}, more[] = {CALIBRATED(EM_FAR_MORE)};
  const float at_few = few[store->classes - 1u], at_more = more[store->classes - 1u];
  for (uint32_t k = 0; k < store->classes; ++k) {
    em_class* of = &store->of[k];
    const float shots = (float)of->shots;
    const float share = (1.0f / shots - 1.0f / EM_SHOTS_MORE) / (1.0f / EM_SHOTS_FEW - 1.0f / EM_SHOTS_MORE);
    const float limit = at_more + (at_few - at_more) * share;
    const float width = sqrtf((PRIOR_SHOTS * EM_SPREAD + of->scatter) / (EM_SPREAD * (PRIOR_SHOTS + shots - 1.0f)));
    of->limit = (limit > FLT_MIN ? limit : FLT_MIN) * width;
  }
}

#if EM_PRIOR_LABELS_KNOWN
/* The logarithm of the share of the nearest other class's limit that a shot's distance to it takes. */
static float log_ratio(const em_store* store, uint32_t own, const em_value* shot) {
  float nearest = FLT_MAX, limit = FLT_MIN;
  for (uint32_t k = 0; k < store->classes; ++k) {
    const float distance = k == own ? FLT_MAX : em_distance(store->of[k].prototype, shot);
    if (distance < nearest) {
      nearest = distance;
      limit = store->of[k].limit;
    }
  }
  return em_log(nearest > LEAST_SHARE * EM_SPREAD ? nearest : LEAST_SHARE * EM_SPREAD) - em_log(limit);
}

/* The logarithm of the quantile, at the false-accept rate, of each class's shots' distances to the nearest other class: that
 * of a log-normal distribution. */
static float of_strangers(const em_store* store) {
  float mean = 0.0f, variance = 0.0f;
  for (uint32_t pass = 0; pass < 2u; ++pass) { /* each class weighs the same */
    float sum = 0.0f;
    for (uint32_t k = 0; k < store->classes; ++k) {
      const em_class* of = &store->of[k];
      const uint32_t shots = of->shots < EVIDENCE_SHOTS ? of->shots : EVIDENCE_SHOTS;
      for (uint32_t shot = 0; shot < shots; ++shot) {
        const float difference = log_ratio(store, k, of->shot[shot]) - mean;
        sum += (pass == 0u ? difference : difference * difference) / (float)shots;
      }
    }
    variance = sum / (float)store->classes;
    if (pass == 0u) mean = variance;
  }
  return mean + EM_RATE_NORMAL * sqrtf(variance);
}

/* Corrects the limits by the store's own shots: each class is a stranger to the others; see docs/unknown.md. */
static void correct_limits(em_store* store) {
  const float others = (float)store->classes - 1.0f;
  float weights = 0.0f, total = 0.0f, several = 0.0f, ratios = 0.0f;
  for (uint32_t k = 0; k < store->classes; ++k) {
    const em_class* of = &store->of[k];
    const float shots = (float)of->shots, least = LEAST_SHARE * EM_SPREAD;
    if (shots < 2.0f) continue;
    const float variance = of->scatter / (shots - 1.0f);
    ratios += (variance > least ? variance : least) * (1.0f + 1.0f / shots) / of->limit;
    several += 1.0f;
  }
  if (others > 0.0f) {
    const float strangers = of_strangers(store);
    weights = strangers > 0.0f && others < CERTAIN_LABELS ? others * others / CERTAIN_LABELS : others;
    total = weights * strangers;
  }
  if (several > 0.0f) {
    weights += OWN_WEIGHT * several;
    total += OWN_WEIGHT * several * em_log(OWN_DISTANCES * ratios / several);
  }
  const float factor = em_exp(total / (weights + EM_PRIOR_LABELS));
  for (uint32_t k = 0; k < store->classes; ++k) store->of[k].limit *= factor;
}
#endif
#endif

/* Computes what follows from all classes, after a change. */
static void refresh(em_store* store) {
  if (store->fresh != 0u) return;
#if EM_REJECTS
  calibrated_limits(store);
#if EM_PRIOR_LABELS_KNOWN
  if (store->classes > 0u) correct_limits(store);
#endif
#else
  for (uint32_t k = 0; k < store->classes; ++k) store->of[k].limit = FLT_MAX;
#endif
#if EM_ADAPT
  em_fit_slope(store);
#endif
  store->fresh = 1;
}

float em_limit(em_store* store, uint16_t id) {
  const em_class* of = em_class_of(store, id);
  if (of == NULL) return -1.0f;
  refresh(store);
  return of->limit;
}

/* The index of the largest number; of equals, the first. */
static uint32_t first_of(const float* numbers, uint32_t count) {
  uint32_t first = 0;
  for (uint32_t k = 1; k < count; ++k) first = numbers[k] > numbers[first] ? k : first;
  return first;
}

#if EM_NONE > 0
/* Whether a distance to a class of so many shots is small enough beside that to the nearest example of none, which lies
 * farther from its own kind than a prototype does. */
static uint8_t beside_none(const em_store* store, const float* query, float distance, float shots) {
  for (uint32_t i = 0; i < store->nones; ++i) {
    if (!(distance <= em_distance(query, store->none[i]) / (NONE_FACTOR * shots / (shots + 1.0f)))) return 0;
  }
  return 1;
}
#endif

em_status em_classify(em_store* store, const em_value* embedding, em_answer* answer) {
  if (store == NULL || answer == NULL) return EM_BAD_ARGUMENT;
  const em_status status = em_check_embedding(embedding);
  if (status != EM_OK) return status;
  if (store->classes == 0u) return EM_NO_CLASSES;
  refresh(store);
  float values[EM_DIM], distances[EM_CLASSES], logits[EM_CLASSES];
  em_values(embedding, values);
  for (uint32_t k = 0; k < store->classes; ++k) {
    distances[k] = em_distance(store->of[k].prototype, embedding);
    logits[k] = -distances[k];
  }
#if EM_ADAPT
  if (em_is_adapted(store) != 0u) em_adapted_logits(store, values, distances, logits);
#endif
  const float best = logits[first_of(logits, store->classes)];
  float total = 0.0f;
  for (uint32_t k = 0; k < store->classes; ++k) total += em_exp(logits[k] - best);
  answer->count = (uint8_t)(store->classes < EM_TOP ? store->classes : EM_TOP);
  for (uint32_t place = 0; place < answer->count; ++place) {
    const uint32_t first = first_of(logits, store->classes);
    const em_class* of = &store->of[first];
    const em_match match = {of->id, of->label, distances[first], em_exp(logits[first] - best) / total};
    answer->top[place] = match;
    if (place == 0u) {
      answer->known = distances[first] <= of->limit;
#if EM_NONE > 0
      if (beside_none(store, values, distances[first], (float)of->shots) == 0u) answer->known = 0;
#endif
    }
    logits[first] = -FLT_MAX;
  }
  return EM_OK;
}
