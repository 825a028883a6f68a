"""Measure time, memory and energy of a bundle on this machine."""
