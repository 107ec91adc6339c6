"""Proof that alerts work: a test fault goes the whole way to a notice, in each school, every month."""
