/* Few-shot classes on a board: enroll, classify with "unknown", forget, rename, undo, adapt. C99, no heap, no doubles.
 *
 * All memory is one em_store, whose size the macros below set. Define them for every file of the program alike, best in
 * edge_meta_config.h, which `edge-meta export --target tflm` writes. Not safe to share between threads or interrupts.
 */
#ifndef EDGE_META_H_
#define EDGE_META_H_

#include <stdint.h>

#include "edge_meta_config.h" /* of the encoder: EM_DIM, EM_INT8, EM_SCALE, EM_ZERO_POINT, EM_ENCODER_ID, and its calibration */

/* Without this macro, TensorFlow Lite Micro's headers lay out TfLiteTensor in another way than its library: the program then
 * links without a warning, and gives the same nonsense for every input. Arduino compiles all libraries without it. */
#if !defined(TF_LITE_STATIC_MEMORY) && !defined(EM_NO_TFLM) && !defined(ARDUINO)
#error "Define TF_LITE_STATIC_MEMORY for the whole program, as for TensorFlow Lite Micro; or EM_NO_TFLM if it is not used."
#endif

#ifndef EM_CLASSES
#define EM_CLASSES 16 /* classes at most, 1 to 64 */
#endif
#ifndef EM_SHOTS
#define EM_SHOTS 5 /* shots of a class at most, 1 to 64 */
#endif
#ifndef EM_NONE
#define EM_NONE 8 /* examples of none (things that are no class) at most, 0 to 64; 0 leaves them out */
#endif
#ifndef EM_LABEL_BYTES
#define EM_LABEL_BYTES 31 /* bytes of a label in UTF-8 at most, 1 to 250 */
#endif
#ifndef EM_TOP
#define EM_TOP 3 /* classes in an answer at most */
#endif
#ifndef EM_ADAPT
#define EM_ADAPT 1 /* 0 leaves out the adapted last layer */
#endif
#ifndef EM_ADAPT_STEPS
#define EM_ADAPT_STEPS 20 /* gradient steps at most */
#endif
#ifndef EM_FLASH
#define EM_FLASH 1 /* 0 leaves out the records in flash */
#endif
#ifndef EM_FLASH_UNIT
#define EM_FLASH_UNIT 4 /* bytes that the flash programs at once: 4, 8, 16 or 32 */
#endif
#ifndef EM_FLASH_PROGRAM_ONCE
#define EM_FLASH_PROGRAM_ONCE 0 /* 1: the flash has ECC, and a unit cannot be programmed again; removing then compacts */
#endif

#if EM_CLASSES < 1 || EM_CLASSES > 64
#error "EM_CLASSES is 1 to 64."
#endif
#if EM_SHOTS < 1 || EM_SHOTS > 64 || EM_LABEL_BYTES < 1 || EM_LABEL_BYTES > 250 || EM_TOP < 1
#error "EM_SHOTS is 1 to 64, EM_LABEL_BYTES 1 to 250, EM_TOP at least 1."
#endif
#if EM_NONE < 0 || EM_NONE > 64
#error "EM_NONE is 0 to 64."
#endif
#if EM_FLASH_UNIT != 4 && EM_FLASH_UNIT != 8 && EM_FLASH_UNIT != 16 && EM_FLASH_UNIT != 32
#error "EM_FLASH_UNIT is 4, 8, 16 or 32."
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if EM_INT8
typedef int8_t em_value; /* the encoder's output as it is: (q - EM_ZERO_POINT) * EM_SCALE */
#else
typedef float em_value;
#endif

/* New statuses come last, so that each keeps its number. */
typedef enum {
  EM_OK = 0,
  EM_BAD_ARGUMENT,    /* a null pointer, or a number out of range */
  EM_NO_CLASSES,      /* nothing is enrolled */
  EM_NO_SUCH_CLASS,   /* no class has that id, or there are no examples of none */
  EM_CLASSES_FULL,    /* EM_CLASSES are enrolled: forget one, or compile with more */
  EM_SHOTS_FULL,      /* the class has EM_SHOTS shots */
  EM_LABEL_EMPTY,     /* a label has no characters, or white space alone */
  EM_LABEL_TOO_LONG,  /* beyond EM_LABEL_BYTES */
  EM_LABEL_NOT_UTF8,  /* the label is not UTF-8 */
  EM_LABEL_TAKEN,     /* another class has that label */
  EM_NOT_FINITE,      /* an embedding has values that are no numbers, or 32,768 and beyond */
  EM_NOTHING_TO_UNDO, /* only the last enroll, rename or adapt can be undone */
  EM_FEW_CLASSES,     /* adapting needs two */
  EM_WRONG_MODEL,     /* the flash holds classes of another encoder, or of another kind of values */
  EM_CORRUPT_FLASH,   /* no sector can be read, and they are not blank; nothing was erased */
  EM_FLASH_FULL,      /* the records do not fit into a sector; nothing was changed */
  EM_FLASH_FAILED,    /* one of your flash functions failed; open the flash again */
  EM_NONE_FULL        /* there are EM_NONE examples of none: forget them, or compile with more */
} em_status;

/* Returns a status's name, such as "EM_OK". */
const char* em_status_name(em_status status);

enum { EM_NO_UNDO, EM_UNDO_ENROLL, EM_UNDO_RENAME, EM_UNDO_ADAPT, EM_UNDO_NONE };

#if EM_FLASH
/* Where a shot comes from. */
typedef struct {
  uint8_t id[16];
  uint32_t record : 24; /* its record's place in the sector */
  uint32_t origin : 8;
} em_source;
#endif

#if EM_ADAPT
/* A class's column of the last layer. */
typedef struct {
  uint8_t adapted; /* whether the class has one of its own, */
  float bias;      /* which this and the weights are */
  float weights[EM_DIM];
} em_column;
#endif

typedef struct {
  uint16_t id; /* from 1; no other class ever has it */
  uint8_t shots;
  char label[EM_LABEL_BYTES + 1];
  float prototype[EM_DIM]; /* the exact mean of the shots, rounded once */
  float scatter;           /* the sum of the shots' squared distances to it */
  float limit;             /* the squared distance up to which the class is known */
  em_value shot[EM_SHOTS][EM_DIM];
#if EM_FLASH
  em_source source[EM_SHOTS];
#endif
#if EM_ADAPT
  em_column column;
#endif
} em_class;

typedef struct {
  uint8_t classes;
  uint8_t fresh; /* whether the limits are those of the classes as they are */
  uint8_t undo;  /* what the last change was */
  uint16_t undo_id;
  uint16_t next_id;
  char undo_label[EM_LABEL_BYTES + 1];
  em_class of[EM_CLASSES]; /* in the order of their first enrollment */
#if EM_NONE > 0
  uint8_t nones; /* examples of none */
  em_value none[EM_NONE][EM_DIM];
#if EM_FLASH
  em_source none_source[EM_NONE];
#endif
#endif
#if EM_ADAPT
  float slope;                       /* of the columns' logits on the prototypes' */
  float most[EM_CLASSES][EM_SHOTS];  /* of each shot: its largest logit, */
  float total[EM_CLASSES][EM_SHOTS]; /* and the sum of the exponentials of all, relative to it */
  float loss[EM_ADAPT_STEPS + 1];
  uint16_t right[EM_ADAPT_STEPS + 1];
  em_column undo_column[EM_CLASSES]; /* before the last change */
#endif
} em_store;

typedef struct {
  uint16_t id;
  const char* label; /* valid until the next change */
  float distance;    /* squared, to the prototype */
  float score;       /* softmax over all classes */
} em_match;

typedef struct {
  uint8_t known; /* 0: it is none of the classes */
  uint8_t count; /* of the matches: EM_TOP, or all classes */
  em_match top[EM_TOP];
} em_answer;

/* Empties a store. Call it, or em_flash_open, before all else. */
void em_init(em_store* store);

/* Adds a shot (EM_DIM values) to a label, which is created if it is new; writes the class's id unless that is null. */
em_status em_enroll(em_store* store, const char* label, const em_value* embedding, uint16_t* id);

#if EM_NONE > 0
/* Adds an example of none: a thing that is no class. What lies nearer to it than to its class is unknown. */
em_status em_enroll_none(em_store* store, const em_value* embedding);

/* Removes the examples of none for good; EM_NO_SUCH_CLASS if there are none. An adapted last layer stays. */
em_status em_forget_none(em_store* store);
#endif

/* Removes a class for good. An adapted last layer goes with it, and so does the undo of what came before. */
em_status em_forget(em_store* store, uint16_t id);

/* Gives a class another label. */
em_status em_rename(em_store* store, uint16_t id, const char* label);

/* Takes back the last change, if that was an enroll, a rename or an adapt. */
em_status em_undo(em_store* store);

/* Finds the nearest classes, the best first, and whether the first is near enough to be known, and nearer than what is none. */
em_status em_classify(em_store* store, const em_value* embedding, em_answer* answer);

/* Returns the id of the class with that label; 0 if there is none. */
uint16_t em_find(const em_store* store, const char* label);

/* Returns the squared distance up to which a class is known; below 0 if there is no such class. */
float em_limit(em_store* store, uint16_t id);

#if EM_ADAPT
/* The result of em_adapt. */
typedef struct {
  uint8_t steps;  /* taken; 0: the prototypes do best */
  uint16_t judged; /* shots that were held out */
  float before, after; /* mean cross-entropy on the held-out shots of the prototypes, and of the head */
} em_adapted;

/* Fits the last layer to all shots by gradient steps of the learning rates (steps of them, 1 to EM_ADAPT_STEPS), as many as do
 * best on held-out shots. If `trusted`, all are taken where no shot can be held out: the rates were learned with the encoder. */
em_status em_adapt(em_store* store, const float* rates, uint8_t steps, uint8_t trusted, em_adapted* result);
#endif

#ifdef __cplusplus
}
#endif

#endif /* EDGE_META_H_ */
