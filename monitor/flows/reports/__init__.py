"""Reports: the facts of a period, from the database to the files that are handed in."""
