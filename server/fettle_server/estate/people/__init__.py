"""People who sign in, what they may do and where; their sessions and API tokens."""
