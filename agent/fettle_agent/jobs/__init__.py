"""Signed work: verified, waited for, run, reported."""
