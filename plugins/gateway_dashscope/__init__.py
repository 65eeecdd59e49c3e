"""Alibaba Cloud Model Studio (DashScope): text, pictures and films over its official API."""

from gateway_dashscope.settings import DashScopeSettings
from gateway_dashscope.upstream import DashScopeUpstream

__all__ = ["DashScopeSettings", "DashScopeUpstream"]
