"""The only I/O with the API: sessions, credentials, quota, retries; `wire` does none."""
