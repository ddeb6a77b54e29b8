"""One served version: micro-batches decoded, run, scored, recorded and answered."""
