"""HTML pages, SVG charts and text for people, made once for all commands."""
