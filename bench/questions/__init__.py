"""One file per question, each with a `run` that prints its tables."""
