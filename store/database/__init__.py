"""Connections, tables, migrations, partitions, and the time buckets that counts and rollups are kept by."""
