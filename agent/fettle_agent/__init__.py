"""Fettle's agent: watches one machine, judges it by the server's policy, and tells the server over one stream."""
