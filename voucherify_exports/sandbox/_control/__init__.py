"""What drives a sandbox over HTTP: JSON, and a page for the browser."""
