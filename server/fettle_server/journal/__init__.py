"""The append-only record of what happened: the audit, and what live pages follow."""
