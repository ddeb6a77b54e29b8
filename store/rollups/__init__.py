"""Sums of predictions by time bucket: counters written with every prediction, and rollups with sketches and slices."""
