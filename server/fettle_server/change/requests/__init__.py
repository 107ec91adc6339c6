"""Requests for change: risk, review, approvals, notices, the forward schedule, and what came of them."""
