"""The tests that every plugin should pass, and what they are made of.

One subclass runs them over a plugin, under pytest or any other runner that collects ``Test…`` classes::

    class TestSong(GeneratorConformance):
        make = SongGenerator
        request = GenerationRequest(chat_type="t2song", messages=(…,))
        answer = (Media("audio", url="https://example.test/a.mp3"), Finish())

A generator that asks no upstream has no `answer`, and subclasses `StandaloneGeneratorConformance`.
"""

from gateway.plugin_api.testing.generators import GeneratorConformance, StandaloneGeneratorConformance
from gateway.plugin_api.testing.grammar import check_grammar
from gateway.plugin_api.testing.runs import ScriptedRun
from gateway.plugin_api.testing.upstreams import UpstreamCase, UpstreamConformance
from gateway.plugin_api.testing.wire import Received, Wire, reply, serve, stream_reply

__all__ = [
    "GeneratorConformance",
    "Received",
    "ScriptedRun",
    "StandaloneGeneratorConformance",
    "UpstreamCase",
    "UpstreamConformance",
    "Wire",
    "check_grammar",
    "reply",
    "serve",
    "stream_reply",
]
