"""Runs as files, bounded reading of arrays, records from arrays, validation of data from outside, errors as JSON."""
