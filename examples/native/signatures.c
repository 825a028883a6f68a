#include "signatures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "litert/c/litert_compiled_model.h"
#include "litert/c/litert_environment.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"

_Noreturn void stop(const char *cause, const char *of) {
  fprintf(stderr, "%s: %s\n", of, cause);
  exit(1);
}

static void check(LiteRtStatus status, const char *call) {
  char cause[40];
  if (status == kLiteRtStatusOk) return;
  snprintf(cause, sizeof cause, "LiteRT gives status %d", (int)status);
  stop(cause, call);
}

Network open_network(const char *path) {
  Network network;
  LiteRtOptions options;
  check(LiteRtCreateEnvironment(0, NULL, &network.environment), "environment");
  check(LiteRtCreateModelFromFile(network.environment, path, &network.model), path);
  check(LiteRtCreateOptions(&options), "options");
  check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "options");
  check(LiteRtCreateCompiledModel(network.environment, network.model, options, &network.compiled), path);
  LiteRtDestroyOptions(options);
  return network;
}

void close_network(Network *network) {
  LiteRtDestroyCompiledModel(network->compiled);
  LiteRtDestroyModel(network->model);
  LiteRtDestroyEnvironment(network->environment);
}

static LiteRtSignature find(const Network *network, const char *key, LiteRtParamIndex *index) {
  LiteRtParamIndex count;
  check(LiteRtGetNumModelSignatures(network->model, &count), key);
  for (*index = 0; *index < count; ++*index) {
    LiteRtSignature found;
    const char *name;
    check(LiteRtGetModelSignature(network->model, *index, &found), key);
    check(LiteRtGetSignatureKey(found, &name), key);
    if (strcmp(name, key) == 0) return found;
  }
  stop("The file has no such signature", key);
}

/* Make the buffer of one input or output as large as the model asks for. */
static void add_buffer(Signature *to, LiteRtTensor tensor, int output, LiteRtParamIndex at) {
  const Network *network = to->network;
  const char *name = to->names[output][at];
  LiteRtRankedTensorType type;
  LiteRtTensorBufferRequirements wanted;
  check(LiteRtGetRankedTensorType(tensor, &type), name);
  if (type.element_type != kLiteRtElementTypeFloat32) stop("It is not float32", name);
  to->sizes[output][at] = 1;
  for (unsigned axis = 0; axis < type.layout.rank; ++axis) to->sizes[output][at] *= (size_t)type.layout.dimensions[axis];
  check((output ? LiteRtGetCompiledModelOutputBufferRequirements : LiteRtGetCompiledModelInputBufferRequirements)(
            network->compiled, to->index, at, &wanted), name);
  check(LiteRtCreateManagedTensorBufferFromRequirements(network->environment, &type, wanted, &to->buffers[output][at]),
        name);
}

Signature open_signature(const Network *network, const char *key) {
  Signature opened = {.network = network};
  LiteRtSignature signature = find(network, key, &opened.index);
  LiteRtTensor tensor;
  check(LiteRtGetNumSignatureInputs(signature, &opened.inputs), key);
  check(LiteRtGetNumSignatureOutputs(signature, &opened.outputs), key);
  if (opened.inputs > MOST_TENSORS || opened.outputs > MOST_TENSORS) stop("It has too many tensors", key);
  for (LiteRtParamIndex at = 0; at < opened.inputs; ++at) {
    check(LiteRtGetSignatureInputName(signature, at, &opened.names[0][at]), key);
    check(LiteRtGetSignatureInputTensorByIndex(signature, at, &tensor), key);
    add_buffer(&opened, tensor, 0, at);
  }
  for (LiteRtParamIndex at = 0; at < opened.outputs; ++at) {
    check(LiteRtGetSignatureOutputName(signature, at, &opened.names[1][at]), key);
    check(LiteRtGetSignatureOutputTensorByIndex(signature, at, &tensor), key);
    add_buffer(&opened, tensor, 1, at);
  }
  return opened;
}

void close_signature(Signature *signature) {
  for (LiteRtParamIndex at = 0; at < signature->inputs; ++at) LiteRtDestroyTensorBuffer(signature->buffers[0][at]);
  for (LiteRtParamIndex at = 0; at < signature->outputs; ++at) LiteRtDestroyTensorBuffer(signature->buffers[1][at]);
}

static size_t place(const Signature *signature, int output, const char *name) {
  size_t count = output ? signature->outputs : signature->inputs;
  for (size_t at = 0; at < count; ++at)
    if (strcmp(signature->names[output][at], name) == 0) return at;
  stop("The signature has no such tensor", name);
}

size_t size_of(const Signature *signature, int output, const char *name) {
  return signature->sizes[output][place(signature, output, name)];
}

void set_input(Signature *signature, const char *name, const float *values) {
  size_t at = place(signature, 0, name);
  void *memory;
  check(LiteRtLockTensorBuffer(signature->buffers[0][at], &memory, kLiteRtTensorBufferLockModeWrite), name);
  memcpy(memory, values, signature->sizes[0][at] * sizeof(float));
  check(LiteRtUnlockTensorBuffer(signature->buffers[0][at]), name);
}

void run(Signature *signature) {
  check(LiteRtRunCompiledModel(signature->network->compiled, signature->index, signature->inputs, signature->buffers[0],
                               signature->outputs, signature->buffers[1]), "run");
}

void get_output(Signature *signature, const char *name, float *values) {
  size_t at = place(signature, 1, name);
  void *memory;
  check(LiteRtLockTensorBuffer(signature->buffers[1][at], &memory, kLiteRtTensorBufferLockModeRead), name);
  memcpy(values, memory, signature->sizes[1][at] * sizeof(float));
  check(LiteRtUnlockTensorBuffer(signature->buffers[1][at]), name);
}
