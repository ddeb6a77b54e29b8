"""Retention, backup, export, and the check that the record is sound."""
