"""From a result URL to bytes, and to a file on disk."""
