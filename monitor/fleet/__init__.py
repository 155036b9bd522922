"""PLAYS: simulated devices against a running service, and the truth of what happened to them.

Everything is seeded: the same seed and inventory give the same faults at the same moments after the start.
"""
