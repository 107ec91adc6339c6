"""Causes that several endpoints share: found among the faults that are held back to look around, before any is told."""

from fettle_server.proactive.causes.actions import is_due, next_due, triage

__all__ = ["is_due", "next_due", "triage"]
