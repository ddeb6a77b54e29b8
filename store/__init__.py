"""The record of predictions and of what the monitor found; the only package with SQL.

Its floors, top to bottom: `store` (all repositories of one database) → `maintenance`, `repositories` → `rollups` →
`recording` → `database` → `settings`, `clock` → `errors`.
"""
