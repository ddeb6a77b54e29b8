"""One pass of the monitor over one model."""
