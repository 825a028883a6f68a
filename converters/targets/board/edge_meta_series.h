/* Series of sensor values as an encoder's input; nothing if the encoder takes none. */
#ifndef EDGE_META_SERIES_H_
#define EDGE_META_SERIES_H_

#include "edge_meta.h"

#ifdef EM_INPUT_STEPS

#ifdef __cplusplus
extern "C" {
#endif

/* Resamples a series of `rows` x `columns` values to the encoder's input, EM_INPUT_STEPS x EM_INPUT_CHANNELS, on straight lines
 * between its rows. Columns are the first of the channels, and what is lacking is zero. Rows of zeros at the end are padding and
 * left out. Returns EM_BAD_ARGUMENT if there are fewer than two others, or too many columns; EM_NOT_FINITE. */
em_status em_fit_series(const float* series, uint32_t rows, uint32_t columns, float* input);

#ifdef __cplusplus
}
#endif

#endif /* EM_INPUT_STEPS */

#endif /* EDGE_META_SERIES_H_ */
