"""HTTP client of a PaCX server."""
