"""Calls of the database functions, one module per subject."""
