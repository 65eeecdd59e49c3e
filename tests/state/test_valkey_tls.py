"""`valkeys://`: a real server behind TLS, trusted only when it shows the right certificate."""

import asyncio
import ssl
from contextlib import aclosing, asynccontextmanager

import pytest

from gateway.state.open import open_store
from gateway.state.store import Record, Slot, StoreUnavailable
from gateway.web.limits import Rates
from tests.certificates import make_certificate
from tests.state.valkey_process import Gate

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def behind_tls(valkey, folder, **names: str):
    """Yield a `valkeys://` URL without its query, and the certificate's file."""
    cert, key = make_certificate(folder, **names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with Gate(valkey.port, context) as gate:
        yield f"valkeys://localhost:{gate.port}/0", cert


async def test_records_leases_and_hints_pass_through_tls(valkey, tmp_path) -> None:
    async with behind_tls(valkey, tmp_path) as (address, cert):
        url = f"{address}?ssl_ca_certs={cert}"
        (one, leases), (two, _) = await open_store(url), await open_store(url)
        await one.check_durable()
        written = await one.put("t", Record(key="a", value=b"1"), durable=True)
        assert await two.get("t", "a") == written
        assert await leases.acquire([Slot("s", 1)], ttl=60) is not None
        async with aclosing(two.watch("t")) as hints, asyncio.timeout(5):
            await one.put("t", Record(key="b", value=b"1"))
            while await anext(hints) != "b":
                pass
        await one.aclose()
        await two.aclose()


async def test_limits_of_keys_are_counted_through_tls(valkey, tmp_path) -> None:
    async with behind_tls(valkey, tmp_path) as (address, cert):
        rates = [Rates(f"{address}?ssl_ca_certs={cert}") for _ in range(2)]
        assert [(await rate.count("alice", 5)).left for rate in rates] == [4, 3]
        for rate in rates:
            await rate.aclose()


@pytest.mark.parametrize(
    ("query", "names"),
    [("", {}), ("?ssl_ca_certs={cert}", {"names": "DNS:elsewhere.example"})],
    ids=["nobody vouches for it", "it is somebody else's"],
)
async def test_a_certificate_that_proves_nothing_is_refused(valkey, tmp_path, query, names) -> None:
    async with behind_tls(valkey, tmp_path, **names) as (address, cert):
        store, _ = await open_store(address + query.format(cert=cert))
        with pytest.raises(StoreUnavailable):
            await store.put("t", Record(key="a", value=b"1"))
        await store.aclose()


async def test_an_authority_that_cannot_be_read_is_said(tmp_path) -> None:
    store, _ = await open_store(f"valkeys://localhost:1/0?ssl_ca_certs={tmp_path}/nowhere.pem")
    with pytest.raises(StoreUnavailable):
        await store.now()
    await store.aclose()
