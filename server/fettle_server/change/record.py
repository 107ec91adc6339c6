"""The record of a change: entries, states, linked incidents; used by everything in the wing."""
