"""The project whose data is exported."""
