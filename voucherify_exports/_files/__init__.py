"""From a result URL to a stream of bytes, or to a file on disk."""
