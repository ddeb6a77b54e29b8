"""Ingest: predictions of models that are served elsewhere are scored and recorded like any other."""
