"""The gateway: it wraps an exported fastai learner as a web service; and the profiler, which runs one over its data."""
