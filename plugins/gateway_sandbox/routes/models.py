"""The model list, and the routes that only check a token."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

from ..catalogue import model_list
from ..sandbox import Sandbox
from .answers import flat, succeeded

__all__ = ["MODELS"]


@get("/api/models")
async def list_models() -> Response[bytes]:
    """Return the models; no token is asked."""
    return flat({"data": model_list()})


@get("/api/v2/models")
async def list_models_v2() -> Response[bytes]:
    """Return the same in the v2 envelope."""
    return succeeded({"data": model_list()})


@get("/api/v1/auths")
async def check_token(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Who the token belongs to."""
    return flat(_user(sandbox.caller(request)))


@get("/api/v2/user/info")
async def user_info(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Return the same in the v2 envelope."""
    return succeeded(_user(sandbox.caller(request)))


MODELS = [list_models, list_models_v2, check_token, user_info]


def _user(owner: str) -> dict[str, Any]:
    return {"id": owner, "name": f"sandbox-{owner[:8]}", "email": f"{owner[:8]}@example.com", "role": "user"}
