"""REMEMBERS: the database, a view that can be rebuilt from the evidence log."""
