"""Predictions added up by time and slice: written beside the answers, corrected from the record, and read for pages,
reports and tests of a whole day."""
