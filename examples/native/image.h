/* Images as an encoder takes them. */
#ifndef EDGE_META_EXAMPLE_IMAGE_H
#define EDGE_META_EXAMPLE_IMAGE_H

#include <stddef.h>

typedef struct {
  size_t height, width, channels;
  unsigned char *pixels; /* row by row; free them */
} Image;

/* Read binary PGM (gray) or PPM (RGB), 8 bits a value. */
Image read_image(const char *path);

/* Antialiased linear interpolation, rounded to whole gray levels, as edge_meta/inputs/resizing.py does it. */
Image resized(const Image *image, size_t height, size_t width);

#endif
