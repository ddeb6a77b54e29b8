"""Sums of predictions by time bucket: counters written with every row, rollups with sketches and slices."""
