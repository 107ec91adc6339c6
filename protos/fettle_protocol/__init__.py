"""What Fettle's agents and its server must agree on; it knows neither side.

Owns the messages (v1), the catalogue of readings, the rule step function and its policy format, the packing of history,
and the shape of identities. Reads no clock, no disk, no network.
"""
