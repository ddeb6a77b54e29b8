"""One forward pass for a batch: the engine, its backends, and choosing the fastest."""
