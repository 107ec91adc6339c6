"""The commands of `fettle`, one module a noun."""
