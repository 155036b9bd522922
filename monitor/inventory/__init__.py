"""Reads what is watched: the tables and monitor.toml, checked as a whole."""
