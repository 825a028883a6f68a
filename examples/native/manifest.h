/* What an app needs of a bundle's manifest.json. */
#ifndef EDGE_META_EXAMPLE_MANIFEST_H
#define EDGE_META_EXAMPLE_MANIFEST_H

#include <stddef.h>

#define MOST_NUMBERS 1024

typedef struct {
  size_t height, width, channels, dim;
  double mean[3], scale[3];
  size_t of_labels, of_rates; /* 0 without a calibration */
  double labels[MOST_NUMBERS], rates[MOST_NUMBERS], far[MOST_NUMBERS], shots[2], spread, false_accept;
} Manifest;

/* Read the manifest in a bundle's folder; exit where this example does not do all that the bundle asks for. */
Manifest read_manifest(const char *bundle);

/* The squared distance up to which a query is known as a label: docs/unknown.md, edge_meta/heads/rejection.py.

   labels: enrolled ones. count: the label's shots. scatter: the sum of ||x - c||^2 over them. Infinite without a calibration. */
double known_up_to(const Manifest *manifest, size_t labels, double count, double scatter);

#endif
