"""Serving: Tidegate beside what people use, on the same learners and the same machine."""
