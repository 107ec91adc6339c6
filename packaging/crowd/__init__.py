"""Many simulated agents in few processes, through the real protocol: what `make simulate` and the benchmarks share.

Owns the machines that are played, their identities, their streams, and a server started for them. It ships no part of the
product: neither agent nor server imports it. Scripts beside it reach it as `crowd`; the benchmarks put packaging/ on
their path.
"""
