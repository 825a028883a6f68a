"""Choose a bundle's settings on data: learning rates, rejection, normalization, embedding maps."""
