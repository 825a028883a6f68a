"""The logger of the package, `edge_meta`. It is silent until a program sets up `logging`, as libraries are."""

import logging

LOG = logging.getLogger("edge_meta")
LOG.addHandler(logging.NullHandler())
