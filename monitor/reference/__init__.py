"""The training-time profile of a learner: fitting it, scoring rows by it, keeping it in a file."""
