"""HTTP: routes, keys, errors, event streams, operations."""
