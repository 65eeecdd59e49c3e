"""HTTP/1.1 for clients: what uvicorn's `http=` setting takes, in place of uvicorn's own protocol."""

from gateway.http1.connection import HttpProtocol

__all__ = ["HttpProtocol"]
