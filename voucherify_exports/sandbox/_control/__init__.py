"""What is served under `/_sandbox/`: the control API, its OpenAPI document, and a page for the browser."""
