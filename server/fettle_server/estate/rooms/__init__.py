"""Rooms of schools, and the classes of the endpoints in them."""
