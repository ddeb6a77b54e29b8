"""The record, and the only room with SQL. Its floors, top to bottom: `store` (all repositories of one database) →
`maintenance`, `repositories` → `rollups` → `recording` → `database` → `settings`, `clock` → `errors`."""
