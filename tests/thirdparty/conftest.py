"""A stranger's distribution has its own environment, and its tests run there."""

collect_ignore = ["gateway_t2a"]
