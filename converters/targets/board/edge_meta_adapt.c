/* The adapted last layer: gradient steps from the prototypes, as in Python's heads/linear.py and heads/adaptation.py. */
#include "edge_meta_internal.h"

#if EM_ADAPT

#include <float.h>

#define LEAST_LOGIT (-70.0f)
#define FOLDS 10u
#define PATIENCE 10u
#define NO_FOLD 0xFFu

uint8_t em_is_adapted(const em_store* store) {
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (store->of[k].column.adapted != 0u) return 1;
  }
  return 0;
}

uint8_t em_drop_head(em_store* store) {
  const uint8_t adapted = em_is_adapted(store);
  for (uint32_t k = 0; k < store->classes; ++k) store->of[k].column.adapted = 0;
  store->fresh = 0;
  return adapted;
}

void em_keep_columns(em_store* store) {
  for (uint32_t k = 0; k < EM_CLASSES; ++k) store->undo_column[k] = store->of[k].column;
}

void em_restore_columns(em_store* store) {
  for (uint32_t k = 0; k < EM_CLASSES; ++k) store->of[k].column = store->undo_column[k];
  store->fresh = 0;
}

static float logit_of(const em_column* of, const float* values) {
  float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (uint32_t i = 0; i < EM_DIM; ++i) sums[i & 3u] += values[i] * of->weights[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + of->bias;
}

/* A class without a column, enrolled since, gets that of its prototype, shifted and scaled as the others are. Its logit is
 * the mean of the columns' logits, plus the slope times how much nearer it is than their prototypes are on average. */
void em_adapted_logits(const em_store* store, const float* values, const float* distances, float* logits) {
  float moved = 0.0f, still = 0.0f, columns = 0.0f;
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (store->of[k].column.adapted == 0u) continue;
    logits[k] = logit_of(&store->of[k].column, values);
    moved += logits[k];
    still += distances[k];
    columns += 1.0f;
  }
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (store->of[k].column.adapted == 0u) logits[k] = moved / columns + store->slope * (still / columns - distances[k]);
  }
}

static float distance_of(const float* one, const float* other) {
  float sum = 0.0f;
  for (uint32_t i = 0; i < EM_DIM; ++i) sum += (one[i] - other[i]) * (one[i] - other[i]);
  return sum;
}

void em_fit_slope(em_store* store) {
  float along = 0.0f, square = 0.0f;
  store->slope = 1.0f;
  for (uint32_t k = 0; k < store->classes; ++k) {
    if (store->of[k].column.adapted == 0u) continue;
    const float* at = store->of[k].prototype;
    float moved[EM_CLASSES], still[EM_CLASSES], moved_mean = 0.0f, still_mean = 0.0f, columns = 0.0f;
    for (uint32_t j = 0; j < store->classes; ++j) {
      if (store->of[j].column.adapted == 0u) continue;
      moved[j] = logit_of(&store->of[j].column, at);
      still[j] = -distance_of(at, store->of[j].prototype);
      moved_mean += moved[j];
      still_mean += still[j];
      columns += 1.0f;
    }
    moved_mean /= columns;
    still_mean /= columns;
    for (uint32_t j = 0; j < store->classes; ++j) {
      if (store->of[j].column.adapted == 0u) continue;
      along += (moved[j] - moved_mean) * (still[j] - still_mean);
      square += (still[j] - still_mean) * (still[j] - still_mean);
    }
  }
  if (along > 0.0f && square > 0.0f) store->slope = along / square;
}

/* How many shots can be held out: those whose class has another. */
static uint32_t spare_shots(const em_store* store) {
  uint32_t spare = 0;
  for (uint32_t k = 0; k < store->classes; ++k) spare += store->of[k].shots > 1u ? store->of[k].shots : 0u;
  return spare;
}

/* The fold that holds a shot out; `before` is how many spare shots come before its class's. */
static uint32_t fold_of(const em_class* of, uint32_t shot, uint32_t before, uint32_t folds) {
  return of->shots > 1u ? (before + shot) % folds : NO_FOLD;
}

/* Sets the columns to those of the prototypes, W = 2c and b = -|c|^2 (Snell et al. 2017, eq. 8), without a fold's shots. */
static void start_columns(em_store* store, uint32_t fold, uint32_t folds) {
  uint32_t before = 0;
  for (uint32_t k = 0; k < store->classes; ++k) {
    const em_class* of = &store->of[k];
    em_column* column = &store->of[k].column;
    float count = 0.0f, values[EM_DIM];
    for (uint32_t i = 0; i < EM_DIM; ++i) column->weights[i] = fold == NO_FOLD ? of->prototype[i] : 0.0f;
    for (uint32_t shot = 0; shot < of->shots && fold != NO_FOLD; ++shot) {
      if (fold_of(of, shot, before, folds) == fold) continue;
      em_values(of->shot[shot], values);
      for (uint32_t i = 0; i < EM_DIM; ++i) column->weights[i] += values[i];
      count += 1.0f;
    }
    column->bias = 0.0f;
    for (uint32_t i = 0; i < EM_DIM; ++i) {
      const float c = fold == NO_FOLD ? column->weights[i] : column->weights[i] / count;
      column->bias -= c * c;
      column->weights[i] = 2.0f * c;
    }
    before += of->shots > 1u ? of->shots : 0u;
  }
}

/* Computes the largest logit of each shot and the sum of exponentials; adds the losses of the held-out ones to `at`. Returns
 * how many shots are not held out. */
static uint32_t score_shots(em_store* store, uint32_t fold, uint32_t folds, uint32_t at) {
  uint32_t before = 0, kept = 0;
  for (uint32_t k = 0; k < store->classes; ++k) {
    const em_class* of = &store->of[k];
    for (uint32_t shot = 0; shot < of->shots; ++shot) {
      float values[EM_DIM], logits[EM_CLASSES], total = 0.0f;
      uint32_t first = 0;
      em_values(of->shot[shot], values);
      for (uint32_t j = 0; j < store->classes; ++j) {
        logits[j] = logit_of(&store->of[j].column, values);
        first = logits[j] > logits[first] ? j : first;
      }
      for (uint32_t j = 0; j < store->classes; ++j) {
        const float shifted = logits[j] - logits[first];
        total += em_exp(shifted > LEAST_LOGIT ? shifted : LEAST_LOGIT);
      }
      store->most[k][shot] = logits[first];
      store->total[k][shot] = total;
      if (fold == NO_FOLD || fold_of(of, shot, before, folds) != fold) {
        kept += 1u;
      } else {
        store->loss[at] += em_log(total) - (logits[k] - logits[first]);
        store->right[at] = (uint16_t)(store->right[at] + (first == k ? 1u : 0u));
      }
    }
    before += of->shots > 1u ? of->shots : 0u;
  }
  return kept;
}

/* Takes one step of gradient descent on the mean cross-entropy of the shots that are not held out, after score_shots. */
static void step_columns(em_store* store, uint32_t fold, uint32_t folds, float rate) {
  for (uint32_t j = 0; j < store->classes; ++j) {
    em_column* column = &store->of[j].column;
    float gradient[EM_DIM], values[EM_DIM], of_bias = 0.0f;
    uint32_t before = 0;
    for (uint32_t i = 0; i < EM_DIM; ++i) gradient[i] = 0.0f;
    for (uint32_t k = 0; k < store->classes; ++k) {
      const em_class* of = &store->of[k];
      for (uint32_t shot = 0; shot < of->shots; ++shot) {
        if (fold != NO_FOLD && fold_of(of, shot, before, folds) == fold) continue;
        em_values(of->shot[shot], values);
        const float shifted = logit_of(column, values) - store->most[k][shot];
        float excess = em_exp(shifted > LEAST_LOGIT ? shifted : LEAST_LOGIT) / store->total[k][shot];
        excess -= j == k ? 1.0f : 0.0f;
        of_bias += excess;
        for (uint32_t i = 0; i < EM_DIM; ++i) gradient[i] += excess * values[i];
      }
      before += of->shots > 1u ? of->shots : 0u;
    }
    for (uint32_t i = 0; i < EM_DIM; ++i) column->weights[i] -= rate * gradient[i];
    column->bias -= rate * of_bias;
  }
}

/* How many steps to take: the least mean loss among those that get no fewer right than the prototypes; steps end when the
 * loss has had no new minimum for as many steps as it took to the last, and PATIENCE. */
static uint8_t choose_steps(const em_store* store, uint32_t steps) {
  uint32_t least_at = 0, chosen = 0;
  for (uint32_t at = 1; at <= steps; ++at) {
    if (!(store->loss[at] <= FLT_MAX)) break;
    if (store->right[at] >= store->right[0] && store->loss[at] < store->loss[chosen]) chosen = at;
    if (store->loss[at] < store->loss[least_at]) {
      least_at = at;
    } else if (at >= 2u * least_at + PATIENCE) {
      break;
    }
  }
  return (uint8_t)chosen;
}

em_status em_adapt(em_store* store, const float* rates, uint8_t steps, uint8_t trusted, em_adapted* result) {
  if (store == NULL || rates == NULL || result == NULL || steps < 1u || steps > EM_ADAPT_STEPS) return EM_BAD_ARGUMENT;
  for (uint32_t at = 0; at < steps; ++at) {
    if (!(rates[at] > 0.0f && rates[at] <= FLT_MAX)) return EM_BAD_ARGUMENT;
  }
  if (store->classes < 2u) return EM_FEW_CLASSES;
  em_keep_columns(store);
  const uint32_t spare = spare_shots(store), folds = spare < FOLDS ? spare : FOLDS;
  for (uint32_t at = 0; at <= steps; ++at) {
    store->loss[at] = 0.0f;
    store->right[at] = 0;
  }
  for (uint32_t fold = 0; fold < folds; ++fold) {
    start_columns(store, fold, folds);
    for (uint32_t at = 0; at <= steps; ++at) {
      const uint32_t kept = score_shots(store, fold, folds, at);
      if (at < steps) step_columns(store, fold, folds, rates[at] / (float)kept);
    }
  }
  uint8_t chosen = trusted != 0u ? steps : 0u;
  if (folds > 0u) chosen = choose_steps(store, steps);
  start_columns(store, NO_FOLD, 1);
  for (uint32_t at = 0; at < chosen; ++at) {
    const uint32_t kept = score_shots(store, NO_FOLD, 1, at);
    step_columns(store, NO_FOLD, 1, rates[at] / (float)kept);
  }
  for (uint32_t k = 0; k < store->classes; ++k) {
    const em_column* of = &store->of[k].column;
    float sum = of->bias;
    for (uint32_t i = 0; i < EM_DIM; ++i) sum += of->weights[i] * 0.0f; /* no number if a weight is none */
    if (!(sum <= FLT_MAX && sum >= -FLT_MAX)) chosen = 0;
  }
  for (uint32_t k = 0; k < store->classes; ++k) store->of[k].column.adapted = chosen > 0u ? 1u : 0u;
  store->undo = EM_UNDO_ADAPT;
  store->fresh = 0;
  result->steps = chosen;
  result->judged = (uint16_t)spare;
  result->before = spare > 0u ? store->loss[0] / (float)spare : 0.0f;
  result->after = spare > 0u ? store->loss[chosen] / (float)spare : 0.0f;
  return EM_OK;
}

#endif /* EM_ADAPT */
