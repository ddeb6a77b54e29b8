"""Which version of a learner answers: the plan, loading a version, deployments, idempotency."""
