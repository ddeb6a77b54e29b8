"""One repository for each kind of record. Callers pass and get frozen dataclasses; the SQL stays inside."""
