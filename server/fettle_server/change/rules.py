"""Decisions, pure."""
