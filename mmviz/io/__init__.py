"""A run as one file and back, bounded reading of arrays, validation of what comes from outside, errors as JSON."""
