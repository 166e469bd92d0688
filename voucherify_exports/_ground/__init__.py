"""What every wing stands on: time, threads, redaction, HTML tables."""
