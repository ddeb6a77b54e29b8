"""An exported learner: loading it, its head and task, and how its inputs are decoded."""
