"""The rule book: how people change rules, who changed which and why, and what a change would have raised."""
