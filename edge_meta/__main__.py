"""Run the command line: python -m edge_meta."""

from edge_meta.cli import main

main()
