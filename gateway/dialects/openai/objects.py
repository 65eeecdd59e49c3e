"""What all of OpenAI's APIs share: how objects and errors are written."""

from collections.abc import Iterable, Sequence

from gateway.dialects.base import Call, FrameEncoder, MediaRef, Route
from gateway.dialects.openai.errors import encode_error
from gateway.dialects.openai.views import encode_view
from gateway.generation.errors import GatewayError, NotFound
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import View

__all__ = ["OpenAIObjects"]


class OpenAIObjects:
    """An OpenAI API that shows objects and generates nothing; those that do override the three methods."""

    name: str
    routes: Sequence[Route]

    def decode(self, call: Call) -> GenerationRequest:
        """Refuse: there is nothing to generate; raises `NotFound`."""
        raise NotFound(f"{call.route.path} generates nothing")

    def encoder(self, request: GenerationRequest, reply: Reply) -> FrameEncoder:
        """Refuse: there is nothing to stream; raises `NotFound`."""
        raise NotFound(f"{self.name} has no streams")

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Refuse: there is nothing to answer; raises `NotFound`."""
        raise NotFound(f"{self.name} generates nothing")

    def encode_view(self, view: View, reply: Reply) -> bytes:
        """Write an object or a page of objects."""
        return encode_view(view, reply)

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        """Write an error body."""
        return encode_error(error)
