"""What carries a client's requests, one module each, imported at the first request."""
