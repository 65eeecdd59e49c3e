"""Metrics, logs and the record of one request."""
