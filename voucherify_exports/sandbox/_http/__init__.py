"""HTTP: listeners, requests, answers, files, and faults."""
