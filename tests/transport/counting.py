"""What a transport holds open, ours or the fallback."""

from gateway.transport import AnyTransport, Transport

__all__ = ["count_connections"]


def count_connections(transport: AnyTransport) -> tuple[int, int]:
    """Return how many connections are open or being made, and how many of them wait for a request."""
    if isinstance(transport, Transport):
        return transport.open_connections, transport.idle_connections
    connector = getattr(transport._inner.client, "connector", None)
    if connector is None:  # not called yet, or closed
        return 0, 0
    idle = sum(map(len, connector._conns.values()))
    return len(connector._acquired) + idle, idle
