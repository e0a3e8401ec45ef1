"""Nights kept in SQLite."""
