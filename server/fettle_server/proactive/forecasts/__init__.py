"""Forecasts: what wears out, fills up or slows down, told from days of history before it hinders a lesson."""
