"""The exports API: what exists, and how it responds to requests. No sockets."""
