"""The dashboards, one file each: `board()` makes it. generate.py lists them."""
