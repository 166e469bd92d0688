"""HTTP: listeners, requests, routes, answers, result files and faults."""
