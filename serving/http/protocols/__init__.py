"""The protocols by which predictions are asked for: each parses a body, and encodes a result or an error. The paths of a new
one go into the table of `serving/http/prediction_routes.py`."""
