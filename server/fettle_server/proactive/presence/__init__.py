"""Expected presence: which endpoints ought to be on, and when their silence is a fault."""
