"""Notices: an outbox in the transaction of what it tells of, routes that say who hears of it, and the channels."""
