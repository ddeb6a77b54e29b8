"""The protocols by which predictions are asked for: each parses a body, and encodes a result or an error."""
