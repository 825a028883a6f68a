"""Settings of a bundle that are chosen on data: learning rates, rejection, normalization, embedding maps."""
