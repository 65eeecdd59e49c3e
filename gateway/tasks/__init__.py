"""Work that outlives its request: submitted once, polled to its end."""
