"""The vocabulary: frozen values that dialects, generators and upstreams exchange.

Requests go down, events come up; N dialects and M upstreams need N + M translations.
"""
