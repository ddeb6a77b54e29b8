"""Alerts: when a check's verdict becomes one, and how people learn of it."""
