"""The engine against a model: whatever fails, in whatever order, nothing is lost and nothing doubled."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.generation.errors import (
    AmbiguousSubmit,
    InvalidRequest,
    NotFound,
    StorageUnavailable,
    UpstreamTimeout,
)
from gateway.plugin_api.protocols import TaskState
from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from tests.tasks.conftest import FaultyStore
from tests.tasks.scripted import ScriptedUpstream, opened, order, until

_HOLD = 0.2
_FATES = ("accepted", "refused", "accepted and lost", "lost", "accepted and crashed", "crashed")


class Tasks(RuleBasedStateMachine):
    """One store and one provider; gateways that come, die and come again."""

    @initialize()
    def open(self):
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.patches = [
            mock.patch("gateway.tasks.grip.HOLD_SECONDS", _HOLD),
            mock.patch("gateway.tasks.poller.HOLD_SECONDS", _HOLD),
            mock.patch("gateway.tasks.poller._LOOK_SECONDS", 0.02),
            mock.patch("gateway.tasks.engine._DRAIN_SECONDS", 0.0),
            mock.patch("gateway.tasks.look._RECONCILE_SECONDS", 1.0),
        ]
        for patch in self.patches:
            patch.start()
        self.upstream = ScriptedUpstream(seconds=3600)
        self.upstream.on_submit = self._submitting
        self.fate = ""
        self.prompts: dict[str, str] = {}
        self.promised: set[str] = set()
        self.refused: set[str] = set()
        self.run(self._begin())

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def _begin(self):
        self.store = FaultyStore(await SqliteStore.open())
        self.leases = MemoryLeases()
        await self._start()

    async def _start(self):
        self.room = opened(
            self.store, self.leases, Path(self.folder.name), self.upstream, poll_interval_seconds=0.02
        )
        self.engine = await self.room.__aenter__()

    async def _die(self):
        """Stop everything at once, as a kill does: nothing is drained, nothing is written."""
        running = asyncio.all_tasks() - {asyncio.current_task()}
        stores = {task for task in running if "sqlite" in repr(task.get_coro())}
        for task in running - stores:
            task.cancel()
        await asyncio.gather(*(running - stores), return_exceptions=True)
        await self.room.__aexit__(None, None, None)

    async def _submitting(self, upstream, prepared):
        if self.fate.startswith("accepted"):
            upstream.accept(prepared)
        match self.fate:
            case "refused":
                raise InvalidRequest("no")
            case "accepted and lost" | "lost":
                raise UpstreamTimeout("late", sent=True)
            case "accepted and crashed" | "crashed":
                self.reached.set()
                await asyncio.sleep(3600)

    @rule(fate=st.sampled_from(_FATES))
    def submit(self, fate):
        prompt = f"film {len(self.prompts)}"
        self.prompts[prompt] = self.fate = fate
        self.run(self._submit(prompt, crash=fate.endswith("crashed")))

    async def _submit(self, prompt, *, crash):
        self.reached = asyncio.Event()
        submitting = asyncio.ensure_future(self.engine.submit(order(prompt), self.upstream, AsyncExitStack()))
        if crash:
            await self.reached.wait()
            await self._die()
            await asyncio.gather(submitting, return_exceptions=True)
            await self._start()
            return
        try:
            self.promised.add((await submitting).id)
        except AmbiguousSubmit as told:
            self.promised.add(told.task_id)
        except InvalidRequest:
            self.refused.add(prompt)

    @rule(when=st.sampled_from(["before", "after"]))
    def fail_to_store_the_intent(self, when):
        prompt = f"film {len(self.prompts)}"
        self.prompts[prompt] = "never sent"
        self.store.fail = lambda method: when if method == "put" else None
        with pytest.raises(StorageUnavailable):
            self.run(self.engine.submit(order(prompt), self.upstream, AsyncExitStack()))
        self.store.fail = lambda method: None
        assert not self.upstream.submits[prompt]

    @rule()
    def crash(self):
        self.run(self._die())
        self.run(self._start())

    @rule(seconds=st.floats(0.01, 0.3))
    def lose_the_store(self, seconds):
        self.store.fail = lambda method: "before"
        self.run(asyncio.sleep(seconds))
        self.store.fail = lambda method: None

    @rule(every=st.integers(2, 4))
    def doubt_every_write(self, every):
        calls = iter(range(1000))
        self.store.fail = lambda method: "after" if method == "put" and next(calls) % every == 0 else None
        self.run(asyncio.sleep(0.1))
        self.store.fail = lambda method: None

    @rule(seconds=st.floats(-50.0, 50.0))
    def make_the_clock_jump(self, seconds):
        true_time = time.time
        with mock.patch("time.time", side_effect=lambda: true_time() + seconds):
            self.run(asyncio.sleep(0.05))

    @precondition(lambda self: self.upstream.accepted)
    @rule(data=st.data())
    def finish(self, data):
        task = data.draw(st.sampled_from(sorted(self.upstream.accepted)))
        self.upstream.accepted[task] = 0.0

    @rule()
    def fail_some_polls(self):
        faults = [RuntimeError("a plugin's fault"), UpstreamTimeout("late"), TaskState("running")]

        async def stumble(upstream, task):
            fault = faults.pop() if faults else None
            if isinstance(fault, Exception):
                raise fault
            return fault

        self.upstream.on_poll = stumble
        self.run(asyncio.sleep(0.1))

    @invariant()
    def nothing_is_paid_for_twice(self):
        assert all(count == 1 for count in self.upstream.submits.values())

    @invariant()
    def only_refusals_are_told_as_refusals(self):
        for prompt in getattr(self, "refused", ()):
            assert self.prompts[prompt] == "refused"

    @invariant()
    def progress_never_falls(self):
        seen = self.__dict__.setdefault("seen", {})
        for task_id in getattr(self, "promised", ()):
            progress = self.run(self.engine.get("alice", task_id)).progress
            assert progress >= seen.get(task_id, 0.0)
            seen[task_id] = progress

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        for task in self.upstream.accepted:
            self.upstream.accepted[task] = 0.0
        self.run(self._compare())
        self.run(self.room.__aexit__(None, None, None))
        self.run(self.store.aclose())
        self.loop.close()
        for patch in self.patches:
            patch.stop()
        self.folder.cleanup()

    async def _compare(self):
        for prompt, fate in self.prompts.items():
            made = f"provider-{prompt}" in self.upstream.accepted
            expected = "completed" if made else "" if fate in ("refused", "never sent") else "failed"
            if fate != "never sent":
                await until(lambda prompt=prompt, expected=expected: self._is(prompt, expected), 20.0)

    async def _is(self, prompt, expected):
        try:
            return (await self.engine.get("alice", order(prompt).id)).status == expected
        except NotFound:
            return expected == ""


TestTasks = Tasks.TestCase
TestTasks.settings = settings(
    max_examples=12, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
