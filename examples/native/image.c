#include "image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "signatures.h"

Image read_image(const char *path) {
  Image image = {0};
  char kind, end;
  unsigned most;
  FILE *file = fopen(path, "rb");
  if (!file) stop("It cannot be opened", path);
  if (fscanf(file, "P%c %zu %zu %u%c", &kind, &image.width, &image.height, &most, &end) != 5 || most != 255 ||
      (kind != '5' && kind != '6') || !image.width || !image.height || image.width > 16384 || image.height > 16384)
    stop("It is no binary PGM or PPM without comments, of 8 bits and at most 16,384 pixels a side", path);
  image.channels = kind == '5' ? 1 : 3;
  size_t count = image.height * image.width * image.channels;
  image.pixels = malloc(count);
  if (!image.pixels || fread(image.pixels, 1, count, file) != count) stop("It is cut short", path);
  fclose(file);
  return image;
}

/* Fill weights (target, size): a triangle as wide as the shrink factor; each row sums to one. */
static float *triangle_filter(size_t size, size_t target) {
  float *weights = malloc(size * target * sizeof(float));
  if (!weights) stop("There is no memory", "resize");
  double step = (double)size / (double)target, support = fmax(step, 1.0);
  for (size_t row = 0; row < target; ++row) {
    double centre = ((double)row + 0.5) * step, sum = 0;
    for (size_t at = 0; at < size; ++at) sum += fmax(0.0, 1.0 - fabs((double)at + 0.5 - centre) / support);
    for (size_t at = 0; at < size; ++at)
      weights[row * size + at] = (float)(fmax(0.0, 1.0 - fabs((double)at + 0.5 - centre) / support) / sum);
  }
  return weights;
}

Image resized(const Image *image, size_t height, size_t width) {
  size_t channels = image->channels, line = width * channels;
  Image result = {height, width, channels, malloc(height * line)};
  float *rows = triangle_filter(image->height, height), *columns = triangle_filter(image->width, width);
  float *narrow = calloc(image->height * line, sizeof(float));
  if (!result.pixels || !narrow) stop("There is no memory", "resize");
  for (size_t y = 0; y < image->height; ++y)
    for (size_t x = 0; x < width; ++x)
      for (size_t from = 0; from < image->width; ++from) {
        float weight = columns[x * image->width + from];
        if (weight == 0) continue;
        for (size_t c = 0; c < channels; ++c)
          narrow[y * line + x * channels + c] += weight * image->pixels[(y * image->width + from) * channels + c];
      }
  for (size_t y = 0; y < height; ++y)
    for (size_t at = 0; at < line; ++at) {
      float value = 0;
      for (size_t from = 0; from < image->height; ++from)
        value += rows[y * image->height + from] * narrow[from * line + at];
      result.pixels[y * line + at] = (unsigned char)fminf(fmaxf(rintf(value), 0), 255);
    }
  free(rows), free(columns), free(narrow);
  return result;
}
