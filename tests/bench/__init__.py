"""Benchmarks: one file a family, a registry in __main__.py."""
