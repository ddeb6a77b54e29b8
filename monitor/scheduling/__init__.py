"""When a pass is due, and whether everyone is still running."""
