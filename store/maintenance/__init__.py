"""Retention, backup, export, and checking that the record is sound."""
