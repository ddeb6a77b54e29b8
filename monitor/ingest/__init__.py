"""Predictions of models that are served elsewhere: scored and recorded like any other."""
