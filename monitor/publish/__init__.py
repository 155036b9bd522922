"""TELLS: what is true now (the board), as pages, metrics and documents show it."""
