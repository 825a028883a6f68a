/* Between the library's own files. */
#ifndef EDGE_META_INTERNAL_H_
#define EDGE_META_INTERNAL_H_

#include <math.h>
#include <string.h>

#include "edge_meta.h"

/* Finds a class by its id; null if there is none. */
em_class* em_class_of(em_store* store, uint16_t id);

/* Checks a label. */
em_status em_check_label(const char* label);

/* Checks that a label is valid, and no other class's than `id`'s. */
em_status em_check_name(const em_store* store, const char* label, uint16_t id);

/* Checks that an embedding is finite and in range. */
em_status em_check_embedding(const em_value* embedding);

/* Checks that em_enroll would succeed. */
em_status em_check_enroll(em_store* store, const char* label, const em_value* embedding);

/* Writes the values of an embedding. */
void em_values(const em_value* embedding, float* values);

/* Adds a shot to a class of that id, made if it is new, without any check; returns the class. */
em_class* em_add_shot(em_store* store, uint16_t id, const char* label, const em_value* embedding);

/* The shots of a class, by its index; beyond the last class, the examples of none. */
typedef struct {
  uint16_t id;       /* 0 of the examples of none, */
  const char* label; /* and "" */
  uint8_t* count;
  em_value (*shot)[EM_DIM];
#if EM_FLASH
  em_source* source;
#endif
} em_shots;

/* How many there are of them. */
#define EM_GROUPS(store) ((store)->classes + (EM_NONE > 0 ? 1u : 0u))
em_shots em_shots_of(em_store* store, uint32_t index);

/* Removes a shot, and a class with its last one. */
void em_remove_shot(em_store* store, uint32_t index, uint32_t shot);

#if EM_NONE > 0
/* Checks that em_enroll_none would succeed. */
em_status em_check_none(const em_store* store, const em_value* embedding);

/* Adds an example of none without any check. */
void em_add_none(em_store* store, const em_value* embedding);
#endif

/* Sets a class's label, cut at EM_LABEL_BYTES. */
void em_set_label(char* to, const char* label);

/* The squared distance of an embedding to a point. */
float em_distance(const float* point, const em_value* embedding);

/* exp and log to about 2 units in the last place; exp is 0 below -87. log is of a positive, normal number. */
float em_exp(float x);
float em_log(float x);

#if EM_ADAPT
/* Drops the adapted last layer; returns whether there was one. */
uint8_t em_drop_head(em_store* store);

/* Copies all columns to undo_column, or back. */
void em_keep_columns(em_store* store);
void em_restore_columns(em_store* store);

/* Computes the slope of the columns on the prototypes'. */
void em_fit_slope(em_store* store);

/* Turns squared distances into logits of the adapted head, for an embedding's values. */
void em_adapted_logits(const em_store* store, const float* values, const float* distances, float* logits);

/* Returns whether any class has a column of its own. */
uint8_t em_is_adapted(const em_store* store);
#endif

#endif /* EDGE_META_INTERNAL_H_ */
