"""Connections, tables, migrations, partitions, and the time buckets that rows are counted by."""
