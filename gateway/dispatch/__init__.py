"""One request from its decoding to its end: lease, prime, fail over, observe."""
