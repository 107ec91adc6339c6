"""Patch truth: which updates each endpoint was offered, has, and has proven."""
