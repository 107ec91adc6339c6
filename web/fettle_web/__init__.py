"""Fettle's console and REST API: what people and scripts see of the server, and do with it."""
