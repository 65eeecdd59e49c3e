"""Which model a name stands for and who serves it, while names and lists change."""

from collections.abc import Sequence

import pytest

from gateway.accounts.account import Account
from gateway.dispatch.catalogue import Catalogue, Offer
from gateway.generation.errors import InvalidRequest, ModelNotFound
from gateway.generation.views import Model
from tests.dispatch.scripted import Upstream

pytestmark = pytest.mark.anyio


def catalogue(**upstreams: Upstream) -> Catalogue:
    accounts = {name: [Account(upstream=name, id="one")] for name in upstreams}
    return Catalogue(upstreams, accounts, default="m", aliases={"alias": "m"})


async def test_the_default_and_an_alias_stand_for_the_model() -> None:
    lists = catalogue(a=Upstream(models=("m",)), b=Upstream(models=("n",)))
    await lists.refresh()
    for name in ("m", "alias", "", "m"):
        assert await lists.offer(name, "t2t") == Offer("m", "m", frozenset({"a"}))


async def test_names_are_looked_up_anew_when_they_change() -> None:
    lists = catalogue(a=Upstream(models=("m",)), b=Upstream(models=("n",)))
    await lists.refresh()
    assert (await lists.offer("alias", "t2t")).model == "m"
    assert (await lists.offer("", "t2t")).model == "m"
    lists.load(default="n", aliases={"alias": "n"})
    assert (await lists.offer("alias", "t2t")) == Offer("n", "n", frozenset({"b"}))
    assert (await lists.offer("", "t2t")).model == "n"


async def test_who_serves_a_model_follows_the_lists() -> None:
    one, two = Upstream(models=("m",)), Upstream(models=("n",))
    lists = catalogue(a=one, b=two)
    await lists.refresh()
    assert (await lists.offer("m", "t2t")).upstreams == {"a"}
    one.known, two.known = ("n",), ("m",)
    await lists.refresh()
    assert (await lists.offer("m", "t2t")).upstreams == {"b"}


async def test_an_upstream_without_a_list_has_the_benefit_of_the_doubt_and_its_models_no_name() -> None:
    class Silent(Upstream):
        async def models(self, account: Account) -> Sequence[Model]:
            raise ModelNotFound("not now")

    lists = catalogue(a=Silent())
    await lists.refresh()
    assert await lists.offer("who knows", "t2t") == Offer("who knows", "", frozenset({"a"}))


async def test_what_nobody_has_is_refused_each_time() -> None:
    lists = catalogue(a=Upstream(models=("m",), chat_types=("t2t",)), b=Upstream(models=("n",)))
    await lists.refresh()
    for _ in range(2):
        with pytest.raises(ModelNotFound):
            await lists.offer("other", "t2t")
        with pytest.raises(InvalidRequest, match="does not serve"):
            await lists.offer("m", "t2i")
    assert (await lists.offer("m", "of its own")).upstreams == {"a", "b"}
