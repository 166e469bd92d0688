"""Used by all wings: time, threads, redaction, HTML tables."""
