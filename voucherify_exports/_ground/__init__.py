"""Used by all wings: callbacks, time, threads, redaction, HTML tables."""
