"""OpenAI's models."""

from gateway.dialects.base import Purpose, Route
from gateway.dialects.openai.objects import OpenAIObjects
from gateway.dialects.openai.views import ModelList, ModelObject

__all__ = ["OpenAIModelsDialect"]


class OpenAIModelsDialect(OpenAIObjects):
    """The routes under /v1/models."""

    name = "openai_models"
    routes = (
        Route("GET", "/v1/models", Purpose.MODEL_LIST, "List the models", None, ModelList),
        Route("GET", "/v1/models/{id}", Purpose.MODEL_GET, "Look at a model", None, ModelObject),
    )
