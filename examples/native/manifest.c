#include "manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signatures.h"

/* What follows `"key":`, or NULL. An app would use its JSON library; a manifest has each section and key once. */
static const char *value_of(const char *text, const char *key) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\"", key);
  for (const char *at = text; (at = strstr(at, quoted));) {
    at += strlen(quoted);
    at += strspn(at, " \n");
    if (*at == ':') return at + 1 + strspn(at + 1, " \n");
  }
  return NULL;
}

/* A copy of an object without inner objects, `{...}`; NULL for null, or where there is none. */
static char *object_of(const char *text, const char *key) {
  for (const char *at = text; (at = value_of(at, key));)
    if (*at == '{') {
      size_t length = strcspn(at, "}");
      char *copy = calloc(length + 1, 1);
      if (!copy) stop("There is no memory", key);
      return memcpy(copy, at, length);
    }
  return NULL;
}

/* Read a number, or all numbers of nested lists, in order; returns how many there are, 0 for null. */
static size_t numbers(const char *object, const char *key, double *into, size_t most) {
  const char *at = value_of(object, key);
  size_t count = 0;
  int depth = 0;
  while (at) {
    at += strspn(at, " \n,");
    if (*at == '[' || *at == ']') {
      depth += *at++ == '[' ? 1 : -1;
    } else {
      char *end;
      double value = strtod(at, &end);
      if (end == at) break;
      if (count == most) stop("It has too many numbers", key);
      into[count++] = value;
      at = end;
    }
    if (depth <= 0) break;
  }
  return count;
}

static double number(const char *object, const char *key) {
  double value;
  if (numbers(object, key, &value, 1) != 1) stop("The manifest has no such number", key);
  return value;
}

static char *read_text(const char *bundle) {
  char path[4096];
  static char text[(1 << 20) + 1]; /* a manifest has at most 1 MiB */
  snprintf(path, sizeof path, "%s/manifest.json", bundle);
  FILE *file = fopen(path, "rb");
  if (!file) stop("It cannot be opened", path);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  return text;
}

static void read_calibration(Manifest *to, const char *rejection) {
  double prior;
  if (numbers(rejection, "prior_labels", &prior, 1))
    stop("Its limits are corrected by the store, which this example leaves out", "prior_labels");
  to->of_labels = numbers(rejection, "labels", to->labels, MOST_NUMBERS);
  to->of_rates = numbers(rejection, "rates", to->rates, MOST_NUMBERS);
  if (numbers(rejection, "far", to->far, MOST_NUMBERS) != 2 * to->of_labels * to->of_rates || !to->of_labels ||
      numbers(rejection, "shots", to->shots, 2) != 2)
    stop("The calibration is damaged", "rejection");
  to->spread = number(rejection, "spread");
  to->false_accept = number(rejection, "false_accept");
}

Manifest read_manifest(const char *bundle) {
  Manifest read = {0};
  const char *text = read_text(bundle);
  char *input = object_of(text, "input"), *embedding = object_of(text, "embedding"), *rejection = object_of(text, "rejection");
  const char *kind = input ? value_of(input, "kind") : NULL;
  if (!kind || strncmp(kind, "\"image\"", 7) != 0) stop("This example takes images alone", bundle);
  if (!embedding || value_of(embedding, "scale")) stop("This example takes files that give embeddings", bundle);
  read.height = (size_t)number(input, "height"), read.width = (size_t)number(input, "width");
  read.channels = (size_t)number(input, "channels"), read.dim = (size_t)number(embedding, "dim");
  size_t means = numbers(input, "mean", read.mean, 3), scales = numbers(input, "scale", read.scale, 3);
  if (!means || !scales || read.channels > 3) stop("Its input is damaged", bundle);
  for (size_t c = means; c < 3; ++c) read.mean[c] = read.mean[0];
  for (size_t c = scales; c < 3; ++c) read.scale[c] = read.scale[0];
  if (rejection) read_calibration(&read, rejection);
  free(input), free(embedding), free(rejection);
  return read;
}

/* Interpolate points (log xs, log ys) at log x, and take the exponential: level beyond the ends, or on along the last two. */
static double between(double x, const double *xs, const double *ys, size_t count, int onward) {
  size_t next = 1;
  if (count == 1 || x <= xs[0]) return ys[0];
  if (x >= xs[count - 1] && !onward) return ys[count - 1];
  while (next + 1 < count && xs[next] < x) ++next;
  double share = log(x / xs[next - 1]) / log(xs[next] / xs[next - 1]);
  return exp(log(ys[next - 1]) + share * log(ys[next] / ys[next - 1]));
}

double known_up_to(const Manifest *manifest, size_t labels, double count, double scatter) {
  double by_shots[2], column[MOST_NUMBERS];
  if (!manifest->of_labels) return INFINITY;
  for (size_t table = 0; table < 2; ++table) {
    for (size_t row = 0; row < manifest->of_labels; ++row)
      column[row] = between(manifest->false_accept, manifest->rates,
                            manifest->far + (table * manifest->of_labels + row) * manifest->of_rates, manifest->of_rates, 0);
    by_shots[table] = between((double)labels, manifest->labels, column, manifest->of_labels, 1);
  }
  double few = manifest->shots[0], more = manifest->shots[1];
  double share = (1 / count - 1 / more) / (1 / few - 1 / more);
  double width = sqrt((8 * manifest->spread + scatter) / (manifest->spread * (8 + count - 1)));
  return fmax(by_shots[1] + (by_shots[0] - by_shots[1]) * share, 0) * width;
}
