"""Benchmarks against peers. Each is a command that prints its tables and writes them to `bench/results/`."""
