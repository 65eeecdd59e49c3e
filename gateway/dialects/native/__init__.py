"""The gateway's own API under ``/api``."""

from gateway.dialects.native.dialect import NativeDialect

__all__ = ["NativeDialect"]
