from edge_meta.cli import main

main()
