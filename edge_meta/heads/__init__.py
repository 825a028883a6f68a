"""The last layer over embeddings, in NumPy: prototypes, the linear head, adaptation, scoring and rejection."""
