"""Rollouts: rings, windows in time, the health gate, halting and backing out."""
