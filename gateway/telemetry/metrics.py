"""Every metric, declared once.

The GenAI families carry the names of OpenTelemetry's conventions, so that existing dashboards fit;
ours begin with `gateway_`. A label value never comes from a client unless it is in a closed set.
"""

from collections.abc import Sequence, Set
from operator import attrgetter
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gateway.telemetry.batch import Batch
from gateway.telemetry.instruments import Counter, Histogram
from gateway.telemetry.observation import Attempt, Observation

__all__ = ["Metrics"]

_SECONDS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
    163.84,
    327.68,
    655.36,
)
_FIRST: Final = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
_OTHER: Final = "_other"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_request_kind: Final = attrgetter(
    "method", "route", "status", "chat_type", "upstream", "model", "error_code", "client_gone", "media"
)
_attempt_kind: Final = attrgetter("upstream", "account", "chat_type", "outcome")


class Metrics:
    """The gateway's metrics over a registry of their own.

    `error_types` are the error codes that may be labels; a provider's own words may not.
    """

    def __init__(self, error_types: Set[str] = frozenset()) -> None:
        self._error_types = error_types | {""}
        self.registry = CollectorRegistry()
        self._requests = Batch[Observation](_request_kind, self._count_requests)
        self._attempts = Batch[Attempt](_attempt_kind, self._count_attempts)
        self._declare_http()
        self._declare_generations()
        self._declare_upstreams()
        self._declare_accounts()
        self._declare_tasks()
        self._declare_state()
        self._declare_process()

    def _declare_http(self) -> None:
        self.http_requests = Counter(
            "gateway_http_requests",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.http_in_progress = Gauge(
            "gateway_http_requests_in_progress", "HTTP requests being answered.", registry=self.registry
        )
        self.in_progress = 0
        # Counted in a plain number: a gauge takes a lock for each step.
        self.http_in_progress.set_function(lambda: self.in_progress)
        self.http_seconds = Histogram(
            "gateway_http_request_duration_seconds",
            "Time to the last byte.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.unmatched = Counter(
            "gateway_http_unmatched_requests", "HTTP requests for unknown paths.", (), registry=self.registry
        )

    def _declare_generations(self) -> None:
        request = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"]
        self.generation_seconds = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Duration of generations.",
            [*request, "error_type"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to the first event.",
            request,
            buckets=_FIRST,
            registry=self.registry,
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens used by generations.",
            [*request, "gen_ai_token_type"],
            buckets=_TOKENS,
            registry=self.registry,
        )
        self.overhead_seconds = Histogram(
            "gateway_overhead_seconds",
            "Time spent here, not waiting for a provider.",
            ["op"],
            buckets=_FIRST,
            registry=self.registry,
        )
        self.aborts = Counter(
            "gateway_stream_aborts", "Streams that ended early.", ["op", "by"], registry=self.registry
        )
        self.images = Counter(
            "gateway_images_generated", "Pictures handed out.", ["model"], registry=self.registry
        )
        self.video_seconds = Counter(
            "gateway_video_seconds", "Seconds of film handed out.", ["model"], registry=self.registry
        )

    def _declare_upstreams(self) -> None:
        self.attempts = Counter(
            "gateway_upstream_attempts",
            "Calls to providers.",
            ["account", "op", "outcome"],
            registry=self.registry,
        )
        self.attempt_seconds = Histogram(
            "gateway_upstream_attempt_duration_seconds",
            "Duration of calls to providers.",
            ["provider", "op", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.failovers = Counter(
            "gateway_failovers",
            "Requests that moved on to another account.",
            ["op", "reason"],
            registry=self.registry,
        )

    def _declare_accounts(self) -> None:
        self.account_state = Gauge(
            "gateway_account_state",
            "1 for the state that the account is in.",
            ["account", "chat_type", "state"],
            registry=self.registry,
        )
        self.account_in_flight = Gauge(
            "gateway_account_in_flight", "Calls under way.", ["account"], registry=self.registry
        )
        self.account_cooldowns = Counter(
            "gateway_account_cooldowns",
            "Rests that began or grew by what a provider said here.",
            ["account", "chat_type", "reason"],
            registry=self.registry,
        )
        told = ["account", "chat_type"]
        self.account_limit = Gauge(
            "gateway_account_limit", "Calls in a window, as the provider tells.", told, registry=self.registry
        )
        self.account_remaining = Gauge(
            "gateway_account_remaining", "Calls left of them.", told, registry=self.registry
        )
        self.account_reset = Gauge(
            "gateway_account_reset_timestamp_seconds",
            "When a rest ends, or all calls are back.",
            told,
            registry=self.registry,
        )
        self.accounts_available = Gauge(
            "gateway_accounts_available",
            "Accounts that can serve now.",
            ["provider", "op"],
            registry=self.registry,
        )

    def _declare_tasks(self) -> None:
        self.task_transitions = Counter(
            "gateway_task_transitions", "Steps of tasks.", ["kind", "state"], registry=self.registry
        )
        self.task_seconds = Histogram(
            "gateway_task_duration_seconds",
            "From a task's creation to its end.",
            ["kind", "state"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tasks = Gauge(
            "gateway_tasks",
            "Unfinished tasks that this process follows.",
            ["kind", "state"],
            registry=self.registry,
        )
        self.poll_lag_seconds = Histogram(
            "gateway_task_poll_lag_seconds",
            "How late polls are.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.task_oldest_pending_seconds = Gauge(
            "gateway_task_oldest_pending_seconds",
            "Age of the oldest unfinished task that this process follows.",
            ["kind"],
            registry=self.registry,
        )
        self.task_lease_losses = Counter(
            "gateway_task_lease_losses",
            "Looks at tasks that another replica took over.",
            ["kind"],
            registry=self.registry,
        )
        self.webhooks = Counter(
            "gateway_webhooks", "Webhook deliveries tried.", ["outcome"], registry=self.registry
        )

    def _declare_state(self) -> None:
        self.state_seconds = Histogram(
            "gateway_state_operation_duration_seconds",
            "Duration of state operations.",
            ["backend", "op"],
            buckets=_FIRST,
            registry=self.registry,
        )
        self.state_errors = Counter(
            "gateway_state_errors", "Failed state operations.", ["backend", "op"], registry=self.registry
        )
        self.media_failures = Counter(
            "gateway_media_archive_failures",
            "Media that could not be kept.",
            ["backend"],
            registry=self.registry,
        )

    def _declare_process(self) -> None:
        self.loop_lag_seconds = Gauge(
            "gateway_event_loop_lag_seconds", "How late the event loop is.", registry=self.registry
        )
        self.draining = Gauge("gateway_draining", "1 while this process shuts down.", registry=self.registry)
        self.config_reloaded = Gauge(
            "gateway_config_last_reload_successful",
            "1 while the configuration on disk is the one that serves.",
            registry=self.registry,
        )
        self.sandbox = Gauge(
            "gateway_sandbox_enabled", "1 while the embedded sandbox serves.", registry=self.registry
        )
        self.build = Gauge(
            "gateway_build_info", "Always 1; the version is the label.", ["version"], registry=self.registry
        )

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._requests.empty()
        self._attempts.empty()
        return generate_latest(self.registry)

    def count(self, metric: Counter, *labels: str, by: float = 1.0) -> None:
        """Add to a counter with labels."""
        metric.child(labels).add(by)

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        """Put a value into a histogram with labels."""
        metric.child(labels).observe((value,))

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        """Set a gauge with labels."""
        metric.labels(*labels).set(value)

    def record_request(self, observed: Observation) -> None:
        """Count a request that has ended."""
        self._requests.add(observed)

    def record_attempt(self, attempt: Attempt) -> None:
        """Count a call to a provider."""
        self._attempts.add(attempt)

    def _count_attempts(self, alike: Sequence[Attempt]) -> None:
        kind = alike[0]
        account = f"{kind.upstream}/{kind.account}"
        self.count(self.attempts, account, kind.chat_type, kind.outcome, by=len(alike))
        seconds = [attempt.seconds for attempt in alike]
        self.attempt_seconds.child((kind.upstream, kind.chat_type, kind.outcome)).observe(seconds)

    def _count_requests(self, alike: Sequence[Observation]) -> None:
        kind = alike[0]
        seconds = [observed.duration for observed in alike]
        if kind.route == "unmatched":
            self.count(self.unmatched, by=len(alike))
        else:
            method = kind.method if kind.method in _METHODS else _OTHER
            self.count(self.http_requests, method, kind.route, str(kind.status), by=len(alike))
            self.http_seconds.child((method, kind.route)).observe(seconds)
        if kind.chat_type:
            error_type = kind.error_code if kind.error_code in self._error_types else _OTHER
            labels = (kind.chat_type, kind.upstream or "_none", kind.model or _OTHER)
            self.generation_seconds.child((*labels, error_type)).observe(seconds)
            self._count_generations(labels, alike)
            self._count_outcomes(kind, alike)

    def _count_generations(self, labels: tuple[str, str, str], alike: Sequence[Observation]) -> None:
        firsts = [observed.first_event for observed in alike if observed.first_event is not None]
        if firsts:
            self.first_token_seconds.child(labels).observe(firsts)
        metered = [observed for observed in alike if observed.tokens_in or observed.tokens_out]
        if metered:
            self.tokens.child((*labels, "input")).observe([observed.tokens_in for observed in metered])
            self.tokens.child((*labels, "output")).observe([observed.tokens_out for observed in metered])
        overheads = [observed.overhead for observed in alike if observed.overhead is not None]
        if overheads:
            self.overhead_seconds.child(labels[:1]).observe(overheads)

    def _count_outcomes(self, kind: Observation, alike: Sequence[Observation]) -> None:
        if kind.client_gone:
            self.count(self.aborts, kind.chat_type, "client", by=len(alike))
        if kind.media and not kind.error_code:
            for observed in alike:
                self._count_media(observed)

    def _count_media(self, observed: Observation) -> None:
        if observed.video_seconds:
            self.count(self.video_seconds, observed.model or _OTHER, by=observed.video_seconds)
        else:
            self.count(self.images, observed.model or _OTHER, by=observed.media)
