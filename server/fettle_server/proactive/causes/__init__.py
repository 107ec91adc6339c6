"""Causes that several endpoints share: found among the faults that are held back to look around, before any is told."""

from fettle_server.proactive.causes.actions import Piece, carry_out, next_due, plan, triage

__all__ = ["Piece", "carry_out", "next_due", "plan", "triage"]
