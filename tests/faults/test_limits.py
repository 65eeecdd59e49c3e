"""An account's limit is one limit, however many replicas share the account."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from statistics import median

import httpx
import pytest

from tests.faults.fleet import Fleet, configure, fleet, status_of
from tests.faults.provider import Provider, provider, user_id
from tests.state.valkey_process import ValkeyProcess

pytestmark = pytest.mark.anyio

ACCOUNTS = ("a", "b", "c")
AT_ONCE = 4
JITTER_SECONDS = 31


@pytest.fixture
def valkey(tmp_path):
    server = ValkeyProcess(tmp_path / "valkey")
    yield server
    server.kill()


async def draw(fleet: Fleet, number: int) -> httpx.Response:
    picture = {"message": f"a cat number {number}", "chatType": "t2i"}
    return await fleet.client(number).post("/api/chat", json=picture)


async def ask(fleet: Fleet, number: int) -> httpx.Response:
    chat = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": f"hello {number}"}]}
    return await fleet.client(number).post("/v1/chat/completions", json=chat)


async def calls(provider: Provider, after: int = 0):
    """Return the paid calls that the provider received, as (account, moment)."""
    tokens = {user_id(f"token-{account}"): account for account in ACCOUNTS}
    entries = await provider.journal(after, endpoint="completions")
    return [(tokens[entry.account], entry.at) for entry in entries]


@pytest.mark.parametrize(
    ("per_day", "requests"), [pytest.param(3, 60), pytest.param(10, 200, marks=pytest.mark.slow)]
)
async def test_a_daily_limit_is_used_up_exactly_and_refused_from_then_on(
    tmp_path, valkey, capsys, per_day, requests
):
    async with provider(tmp_path) as qwen:
        for account in ACCOUNTS:
            await qwen.limit(f"token-{account}", "t2i", per_day)
        config = configure(
            qwen.url,
            ACCOUNTS,
            state=valkey.url,
            account=f"concurrency = {AT_ONCE}",
            tables="[deadlines]\nqueue = 80.0",
        )
        async with fleet(tmp_path, config, 3) as gateways:
            begun = time.time()
            answers = await asyncio.gather(*(draw(gateways, number) for number in range(requests)))
            took = time.time() - begun

            assert Counter(answer.status_code for answer in answers) == {
                200: 3 * per_day,
                429: requests - 3 * per_day,
            }
            hours = 24 - datetime.now(UTC).hour
            for answer in answers:
                if answer.status_code == 429:
                    assert answer.json()["code"] == "rate_limited"
                    assert (
                        hours * 3600 - took
                        <= int(answer.headers["retry-after"])
                        <= hours * 3600 + JITTER_SECONDS
                    )
            received = Counter(account for account, _ in await calls(qwen))
            for account in ACCOUNTS:
                assert per_day <= received[account] <= per_day + 2 * AT_ONCE, received

            lags = sorted(cooldown_lags(gateways))
            assert lags[-1] < 1.0
            before = await qwen.last()
            late = await asyncio.gather(*(draw(gateways, number) for number in range(30)))
            assert {answer.status_code for answer in late} == {429}
            assert not await calls(qwen, before)
            chat = await ask(gateways, 0)
            assert chat.status_code == 200, "a limit of pictures leaves chat usable"
    with capsys.disabled():
        print(f"\n{requests} pictures in {took:.1f} s, calls {dict(received)}, cooldown seen after {lags}")


def cooldown_lags(gateways: Fleet) -> list[float]:
    """Return, for each account, how long after the first gateway the last one knew that it rests."""
    moments: dict[str, list[float]] = {}
    for entries in gateways.events("account_state"):
        for account in {entry["account"] for entry in entries}:
            first = next(entry for entry in entries if entry["account"] == account)
            moments.setdefault(account, []).append(datetime.fromisoformat(first["timestamp"]).timestamp())
    assert all(len(times) == len(gateways.gateways) for times in moments.values())
    return [max(times) - min(times) for times in moments.values()]


async def test_while_all_rest_nothing_is_asked_and_afterwards_each_is_probed_once(tmp_path, valkey, capsys):
    async with provider(tmp_path) as qwen:
        config = configure(qwen.url, ACCOUNTS, state=valkey.url, tables="[deadlines]\nqueue = 20.0")
        async with fleet(tmp_path, config, 2) as gateways:
            await tire_out(qwen, gateways)
            lags = sorted(cooldown_lags(gateways))
            before = await qwen.last()
            reset = await earliest_reset(gateways)

            assert lags[0] < 0.1, "one lag is the machine's, all of them are ours"
            refused = await refuse_quickly(gateways, reset)
            assert not await qwen.journal(before)

            await asyncio.sleep(reset - time.time() + 0.3)
            answers = await asyncio.gather(*(ask(gateways, number) for number in range(60)))
            assert {answer.status_code for answer in answers} == {200}
            waves = wave_sizes(await calls(qwen, before))
    with capsys.disabled():
        print(f"\ncooldown seen after {lags}; refused in {refused * 1000:.1f} ms at worst")
        print(f"calls per account and 100 ms after the reset: {waves}")


async def tire_out(qwen: Provider, gateways: Fleet) -> None:
    """Let every account meet its limit, until both gateways know."""
    await qwen.strike("burst_limit", endpoint="completions")
    begun = time.time()
    assert (await ask(gateways, 0)).status_code == 429
    await qwen.heal()
    while any(len(entries) < len(ACCOUNTS) for entries in gateways.events("account_state")):
        assert time.time() < begun + 1.5, "the rest of one gateway's accounts is news to the other"
        await asyncio.sleep(0.01)


async def earliest_reset(gateways: Fleet) -> float:
    known = [await status_of(client) for client in gateways.clients]
    for status in known:
        assert {status[account, "t2t"]["state"] for account in ACCOUNTS} == {"cooling"}
    return min(known[0][account, "t2t"]["until"] for account in ACCOUNTS)


async def refuse_quickly(gateways: Fleet, reset: float) -> float:
    """Ask while nobody can serve; return how long the slowest refusal took."""
    seconds = []
    for number in range(20):
        begun = time.perf_counter()
        answer = await ask(gateways, number)
        seconds.append(time.perf_counter() - begun)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= max(reset - time.time(), 0) + 2
    assert median(seconds) < 0.05
    return max(seconds)


def wave_sizes(received) -> dict[str, list[int]]:
    """Return how many calls each account got in each tenth of a second since its first, which is a probe."""
    waves = {account: [0] * 80 for account in ACCOUNTS}
    begun: dict[str, float] = {}
    for account, at in received:
        waves[account][int((at - begun.setdefault(account, at)) * 10)] += 1
    for wave in waves.values():
        assert wave[0] == 1, "while the probe is under way nobody else is sent"
    return {account: wave[: max(i for i, n in enumerate(wave) if n) + 1] for account, wave in waves.items()}
