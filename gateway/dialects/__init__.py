"""Public API shapes: pure functions between bytes and the vocabulary."""
