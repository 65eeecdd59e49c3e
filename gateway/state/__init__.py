"""Records that outlive a request."""
