"""Documents for people: one model of blocks, and a renderer for each format."""
