"""The configuration: frozen values decoded from TOML, the environment and secret files."""

from gateway.config.digests import KeyDigest, digest_of
from gateway.config.errors import ConfigError, explain
from gateway.config.loading import Configuration, from_text, load_configuration, load_settings
from gateway.config.settings import (
    AccountSettings,
    AuthSettings,
    DeadlineSettings,
    FileSettings,
    HttpClient,
    KeySettings,
    LogSettings,
    MediaSettings,
    MetricsSettings,
    ModelSettings,
    PluginSettings,
    ServerSettings,
    Settings,
    StateSettings,
    TaskSettings,
    UpstreamSettings,
)

__all__ = [
    "AccountSettings",
    "AuthSettings",
    "ConfigError",
    "Configuration",
    "DeadlineSettings",
    "FileSettings",
    "HttpClient",
    "KeyDigest",
    "KeySettings",
    "LogSettings",
    "MediaSettings",
    "MetricsSettings",
    "ModelSettings",
    "PluginSettings",
    "ServerSettings",
    "Settings",
    "StateSettings",
    "TaskSettings",
    "UpstreamSettings",
    "digest_of",
    "explain",
    "from_text",
    "load_configuration",
    "load_settings",
]
