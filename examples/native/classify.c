/* Enroll classes from images, and classify others, with LiteRT's C API alone.

   classify BUNDLE LABEL=IMAGE... IMAGE...

   BUNDLE is a folder. Images are binary PGM or PPM, of any size. One line for each that has no label: its label or "?", the
   nearest label, the squared distance to it, and the limit up to which that label is known. Compile:

   cd examples/native
   gcc -I HEADERS classify.c image.c manifest.c signatures.c -o classify -L FOLDER -lLiteRt -Wl,-rpath,FOLDER -lm
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "manifest.h"
#include "signatures.h"

#define MOST_SHOTS 1024

static Manifest manifest;
static Signature embed, enroll, score;
static size_t most_labels, labels, shots;
static char *names[MOST_SHOTS];                     /* of labels */
static float *embeddings[MOST_SHOTS];               /* of shots */
static size_t owners[MOST_SHOTS];                   /* of shots: their labels */
static float *prototypes, *counts, *onehot, *distances; /* (N, D), (N), (N), (N) */

static float *zeros(size_t count) {
  float *made = calloc(count, sizeof(float));
  if (!made) stop("There is no memory", "array");
  return made;
}

/* Embed an image; returns `dim` values, to be freed. */
static float *embedded(const char *path) {
  Image read = read_image(path);
  if (read.channels != manifest.channels) stop("The encoder takes another number of channels", path);
  Image image = resized(&read, manifest.height, manifest.width);
  size_t count = image.height * image.width * image.channels;
  float *values = zeros(count), *embedding = zeros(manifest.dim);
  for (size_t at = 0; at < count; ++at) {
    size_t c = at % image.channels;
    values[at] = ((float)image.pixels[at] - (float)manifest.mean[c]) * (float)manifest.scale[c];
  }
  set_input(&embed, "image", values);
  run(&embed);
  get_output(&embed, "embedding", embedding);
  free(values), free(read.pixels), free(image.pixels);
  return embedding;
}

static size_t label_of(char *name) {
  for (size_t at = 0; at < labels; ++at)
    if (strcmp(names[at], name) == 0) return at;
  if (labels == most_labels) stop("The encoder's file has no room for more labels", name);
  names[labels] = name;
  return labels++;
}

static void enroll_shot(char *name, const char *path) {
  if (shots == MOST_SHOTS) stop("There are too many shots", path);
  size_t label = owners[shots] = label_of(name);
  float *embedding = embeddings[shots++] = embedded(path);
  onehot[label] = 1;
  set_input(&enroll, "embedding", embedding);
  set_input(&enroll, "onehot", onehot);
  set_input(&enroll, "prototypes", prototypes);
  set_input(&enroll, "counts", counts);
  run(&enroll);
  get_output(&enroll, "prototypes", prototypes);
  get_output(&enroll, "counts", counts);
  onehot[label] = 0;
}

/* The sum of squared distances of a label's shots to their mean. */
static double scatter_of(size_t label) {
  double sum = 0;
  for (size_t shot = 0; shot < shots; ++shot)
    for (size_t at = 0; owners[shot] == label && at < manifest.dim; ++at) {
      double off = (double)embeddings[shot][at] - (double)prototypes[label * manifest.dim + at];
      sum += off * off;
    }
  return sum;
}

static void classify(const char *path) {
  float *embedding = embedded(path);
  size_t nearest = 0;
  set_input(&score, "embedding", embedding);
  set_input(&score, "prototypes", prototypes);
  set_input(&score, "counts", counts);
  run(&score);
  get_output(&score, "distances", distances);
  for (size_t label = 1; label < labels; ++label)
    if (distances[label] < distances[nearest]) nearest = label;
  double limit = known_up_to(&manifest, labels, (double)counts[nearest], scatter_of(nearest));
  const char *answer = (double)distances[nearest] <= limit ? names[nearest] : "?";
  printf("%s %s %.6f %.6f\n", answer, names[nearest], (double)distances[nearest], limit);
  free(embedding);
}

int main(int count, char **arguments) {
  char path[4096];
  if (count < 3) stop("classify BUNDLE LABEL=IMAGE... IMAGE...", "usage");
  manifest = read_manifest(arguments[1]);
  snprintf(path, sizeof path, "%s/encoder.tflite", arguments[1]);
  Network network = open_network(path);
  embed = open_signature(&network, "embed");
  enroll = open_signature(&network, "enroll");
  score = open_signature(&network, "score");
  most_labels = size_of(&enroll, 0, "counts");
  if (most_labels > MOST_SHOTS || size_of(&embed, 1, "embedding") != manifest.dim ||
      size_of(&embed, 0, "image") != manifest.height * manifest.width * manifest.channels)
    stop("The file does not fit the manifest", path);
  prototypes = zeros(most_labels * manifest.dim), counts = zeros(most_labels);
  onehot = zeros(most_labels), distances = zeros(most_labels);
  for (int at = 2; at < count; ++at) {
    char *equals = strchr(arguments[at], '=');
    if (equals) {
      *equals = 0;
      enroll_shot(arguments[at], equals + 1);
    } else if (labels) {
      classify(arguments[at]);
    } else {
      stop("Nothing is enrolled yet", arguments[at]);
    }
  }
  for (size_t shot = 0; shot < shots; ++shot) free(embeddings[shot]);
  free(prototypes), free(counts), free(onehot), free(distances);
  close_signature(&embed), close_signature(&enroll), close_signature(&score);
  close_network(&network);
  return 0;
}
