"""Enrolment: how a machine gets its identity, keeps it, and how the service's own certificate authority signs it."""
