"""Fettle's server: takes in what agents say, keeps the estate, and runs the FITS wings over one store."""
