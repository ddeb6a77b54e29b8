"""What pages, metrics and the command line show of the record: read here as values, drawn elsewhere."""
