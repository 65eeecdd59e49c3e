"""Which models there are, and which upstream has them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from gateway.accounts.account import Account
from gateway.generation.errors import GatewayError, InvalidRequest, ModelNotFound
from gateway.generation.views import Model
from gateway.plugin_api.protocols import Upstream
from gateway.telemetry.logging import get_logger

__all__ = ["Catalogue", "Offer"]

_REFRESH_SECONDS = 600.0
_RETRY_SECONDS = 15.0
_FIRST_ANSWER_SECONDS = 5.0


class Offer(msgspec.Struct, frozen=True):
    """The upstreams that may serve a model for a chat type.

    `listed` is the model's id where some upstream is known to have it, else "": such names are a closed set.
    """

    model: str
    listed: str
    upstreams: frozenset[str]


class Catalogue:
    """The models of every upstream, asked for in the background and kept.

    An upstream whose list was never had is given the benefit of the doubt: its provider will say
    that it does not know a model.
    """

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        accounts: Mapping[str, Sequence[Account]],
        *,
        default: str,
        aliases: Mapping[str, str],
    ) -> None:
        self._upstreams = upstreams
        self._accounts = accounts
        self._default = default
        self._aliases = aliases
        self._models: dict[str, dict[str, Model]] = {}
        self._offers: dict[tuple[str, str], Offer] = {}
        self._asked = asyncio.Event()
        self._changed = asyncio.Event()

    def load(self, *, default: str, aliases: Mapping[str, str]) -> None:
        """Go by these names from now on; the upstreams may have changed too, so all are asked anew."""
        self._default = default
        self._aliases = aliases
        self._offers.clear()
        self._models = {name: found for name, found in self._models.items() if name in self._upstreams}
        self._changed.set()

    async def refresh_forever(self) -> None:
        """Keep the lists fresh; one upstream's failure leaves its last list in place."""
        while True:
            self._changed.clear()
            complete = await self.refresh()
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS if complete else _RETRY_SECONDS):
                    await self._changed.wait()

    async def refresh(self) -> bool:
        """Ask every upstream once; return whether all have answered."""
        answers = await asyncio.gather(*(self._ask(name) for name in self._upstreams))
        self._asked.set()
        return all(answers)

    def resolve(self, name: str) -> str:
        """Return the model id behind a name or an alias; "" is the default."""
        wanted = name or self._default
        return self._aliases.get(wanted, wanted)

    async def offer(self, name: str, chat_type: str) -> Offer:
        """Return who may serve a model, named as in `resolve`, for a chat type.

        Raises:
            ModelNotFound: nobody has the model.
            InvalidRequest: it exists, but is not made for this chat type.
        """
        known = self._offers.get((name, chat_type))
        if known is not None:
            return known
        if not self._asked.is_set():
            await self._wait_for_lists()
        model = self.resolve(name)
        having = {upstream: models[model] for upstream, models in self._models.items() if model in models}
        offer = Offer(model, model if having else "", self._serving(model, chat_type, having))
        if having:
            # Only names from a closed set are kept.
            self._offers[name, chat_type] = offer
        return offer

    def _serving(self, model: str, chat_type: str, having: Mapping[str, Model]) -> frozenset[str]:
        """Return the upstreams that may serve a model, which is listed by those in `having`.

        A chat type that no model is made for is its generator's own affair, and so are its models' names.
        """
        unknown = self._upstreams.keys() - self._models.keys()
        serving = {name for name, found in having.items() if chat_type in found.chat_types}
        if serving or unknown:
            return frozenset(serving | unknown)
        if not self._made_for(chat_type):
            return frozenset(self._upstreams)
        if not having:
            raise ModelNotFound(f"The model `{model}` does not exist here.", param="model")
        raise InvalidRequest(f"the model {model} does not serve chatType {chat_type}", param="model")

    def _made_for(self, chat_type: str) -> bool:
        return any(chat_type in model.chat_types for model in self.models())

    def models(self) -> tuple[Model, ...]:
        """Return every model once, the first upstream's word winning, then the aliases."""
        found: dict[str, Model] = {}
        for models in self._models.values():
            for model in models.values():
                found.setdefault(model.id, model)
        return tuple(found.values())

    def get(self, name: str) -> Model:
        """Return one model by its id or an alias."""
        wanted = self.resolve(name)
        model = next((model for model in self.models() if model.id == wanted), None)
        if model is None:
            raise ModelNotFound(f"The model `{name}` does not exist here.", param="model")
        return model

    async def _wait_for_lists(self) -> None:
        try:
            await asyncio.wait_for(self._asked.wait(), _FIRST_ANSWER_SECONDS)
        except TimeoutError:
            self._asked.set()

    async def _ask(self, name: str) -> bool:
        upstream = self._upstreams[name]
        for account in self._accounts[name][:3]:
            try:
                models = await upstream.models(account)
            except GatewayError as error:
                get_logger().warning(
                    "models_unavailable", upstream=name, account=account.id, error=error.message
                )
                continue
            if self._upstreams.get(name) is not upstream:
                return False  # It was replaced meanwhile.
            self._offers.clear()
            self._models[name] = {model.id: msgspec.structs.replace(model, upstream=name) for model in models}
            return True
        return False
