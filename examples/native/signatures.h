/* Run a .tflite file's signatures by name, with LiteRT's C API. */
#ifndef EDGE_META_EXAMPLE_SIGNATURES_H
#define EDGE_META_EXAMPLE_SIGNATURES_H

#include "litert/c/litert_common.h"
#include "litert/c/litert_model.h"

#define MOST_TENSORS 8

typedef struct {
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtCompiledModel compiled;
} Network;

/* A signature with buffers of its own, which every run uses again. Arrays are float32, row by row. */
typedef struct {
  const Network *network;
  LiteRtParamIndex index, inputs, outputs;
  const char *names[2][MOST_TENSORS]; /* of inputs, of outputs */
  size_t sizes[2][MOST_TENSORS];      /* values of each */
  LiteRtTensorBuffer buffers[2][MOST_TENSORS];
} Signature;

Network open_network(const char *path);
void close_network(Network *network);
Signature open_signature(const Network *network, const char *key);
void close_signature(Signature *signature);

/* The number of values of an input or output. */
size_t size_of(const Signature *signature, int output, const char *name);
void set_input(Signature *signature, const char *name, const float *values);
void run(Signature *signature);
void get_output(Signature *signature, const char *name, float *values);

/* Print a cause to stderr, and exit with 1. */
_Noreturn void stop(const char *cause, const char *of);

#endif
