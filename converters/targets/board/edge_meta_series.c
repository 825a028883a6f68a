/* Series of sensor values as an encoder's input, as in Python's inputs/series.py. */
#include "edge_meta_series.h"

#ifdef EM_INPUT_STEPS

#include <float.h>
#include <stddef.h>

#define SPACES (EM_INPUT_STEPS > 1 ? EM_INPUT_STEPS - 1u : 1u)

em_status em_fit_series(const float* series, uint32_t rows, uint32_t columns, float* input) {
  if (series == NULL || input == NULL || columns < 1u || columns > EM_INPUT_CHANNELS) return EM_BAD_ARGUMENT;
  if (rows > UINT32_MAX / (SPACES * columns)) return EM_BAD_ARGUMENT;
  uint32_t last = 0; /* row that is not zero */
  for (uint32_t i = 0; i < rows * columns; ++i) {
    if (!(series[i] <= FLT_MAX && series[i] >= -FLT_MAX)) return EM_NOT_FINITE;
    if (series[i] < 0.0f || series[i] > 0.0f) last = i / columns;
  }
  if (last < 1u) return EM_BAD_ARGUMENT;
  for (uint32_t step = 0; step < EM_INPUT_STEPS; ++step) {
    const uint32_t place = step * last; /* in parts of 1 / SPACES rows */
    const uint32_t row = place / SPACES, next = row < last ? row + 1u : row;
    const float part = (float)(place % SPACES) / (float)SPACES;
    for (uint32_t channel = 0; channel < EM_INPUT_CHANNELS; ++channel) {
      float value = 0.0f;
      if (channel < columns) {
        const float before = series[row * columns + channel], after = series[next * columns + channel];
        value = before + (after - before) * part;
      }
      input[step * EM_INPUT_CHANNELS + channel] = value;
    }
  }
  return EM_OK;
}

#endif /* EM_INPUT_STEPS */
