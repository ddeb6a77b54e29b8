"""What predictions add up to: written beside the answers, mended from the record, read by pages and long windows."""
