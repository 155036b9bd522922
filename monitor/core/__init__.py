"""DECIDES: plain Python, no await, no SQL, no clock, no settings.

Instants are integers: milliseconds since 1970-01-01 UTC. Durations inside are milliseconds too; only names that
end in ``_s`` are seconds.
"""
