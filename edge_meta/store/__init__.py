"""The store: enrolled labels, their shots and the adapted head, in one SQLite file. It knows no images."""
