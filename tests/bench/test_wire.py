"""Mock and load generator together on loopback: the figures add up, and what is wrong is seen."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which

import pytest

from tests.bench.contestants import ask
from tests.bench.tools import LoadResult, MockOptions, load_argv, mock_server, read_result

pytestmark = pytest.mark.skipif(which("cc") is None, reason="there is no C compiler")

CHAT = "/v1/chat/completions"
STREAM = '{"stream":true}'


def load(port: int, **options: str | float) -> LoadResult:
    return read_result(subprocess.run(load_argv(port, (), **options), check=True, capture_output=True).stdout)


@contextmanager
def server_that_says(answer: bytes) -> Iterator[int]:
    """Answers every connection's first request with these bytes, sent one by one, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.recv(65536)
                    for byte in answer:
                        connection.sendall(bytes([byte]))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_closed_loop_checks_every_answer() -> None:
    with mock_server(MockOptions()) as mock:
        result = load(
            mock.port, path=CHAT, body="{}", clients=4, seconds=0.3, warmup=0.1, marks=1, min_bytes=1024
        )
    assert result.errors == 0
    assert result.units == result.started == result.marks
    assert 0 < result.units_timed < result.units
    assert result.latency is not None
    assert result.latency.count == result.units_timed
    assert 0 < result.latency.p50 <= result.latency.p99 <= result.latency.max * 1.01


def test_streams_arrive_whole_and_in_order() -> None:
    with mock_server(MockOptions(chunks=50)) as mock:
        result = load(
            mock.port, path=CHAT, body=STREAM, clients=8, requests=40, seconds=5, marks=50, expect="[DONE]"
        )
    assert (result.errors, result.lost_marks) == (0, 0)
    assert (result.units, result.marks) == (40, 2_000)


def test_slow_streams_keep_their_pace() -> None:
    with mock_server(MockOptions(chunks=10, interval_ms=20)) as mock:
        result = load(
            mock.port, path=CHAT, body=STREAM, clients=20, once=1, seconds=2, marks=10, expect="[DONE]"
        )
    assert (result.units, result.errors) == (20, 0)
    assert result.latency is not None
    assert result.latency.p50 >= 180_000


def test_open_loop_keeps_its_schedule() -> None:
    with mock_server(MockOptions()) as mock:
        result = load(mock.port, path=CHAT, body="{}", clients=8, rate=100, seconds=0.5, marks=1)
    assert (result.started, result.errors) == (50, 0)


def test_open_loop_counts_the_wait_for_a_free_client() -> None:
    """Ten a second, one client, answers that take half a second: latency must pile up."""
    with mock_server(MockOptions(chunks=6, interval_ms=100)) as mock:
        result = load(
            mock.port, path=CHAT, body=STREAM, clients=1, rate=10, seconds=0.5, marks=6, expect="[DONE]"
        )
    assert (result.started, result.units) == (5, 5)
    assert result.latency is not None
    assert result.latency.max > 1_900_000


@pytest.mark.parametrize(
    ("path", "body", "expect", "least"),
    [
        ("/v1/images/generations", "{}", "YmVuY2gtZW5k", 2 << 20),
        ("/api/v2/chats/new", "{}", '"success":true', 20),
        ("/api/v2/chat/completions?chat_id=1", "{}", "end-of-answer", 100),
        ("/api/v2/chat/completions?chat_id=1", '{"chat_type":"t2v"}', '"task_id"', 100),
        ("/api/v1/tasks/status/1", "", "running", 20),
        ("/v1/models", "", '"bench"', 20),
    ],
)
def test_mock_speaks_both_wires(path: str, body: str, expect: str, least: int) -> None:
    with mock_server(MockOptions(chunks=3)) as mock:
        result = load(mock.port, path=path, body=body, requests=3, seconds=5, expect=expect, min_bytes=least)
    assert (result.units, result.errors) == (3, 0)


def test_unknown_paths_are_bad_answers() -> None:
    with mock_server(MockOptions()) as mock:
        assert ask(mock.port, (), "/nothing/here", "{}")[0] == 404
        result = load(mock.port, path="/nothing/here", body="{}", requests=2, seconds=5)
    assert (result.units, result.bad_status, result.latency) == (0, 2, None)


def mark(sequence: int) -> bytes:
    return b"~%05d%019d~" % (sequence, 1)


def chunked(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_marks_and_needle_are_found_in_any_split() -> None:
    """Every byte comes alone, and the pieces cut both marks and the needle."""
    first, second = mark(0), mark(1)
    with server_that_says(chunked(first[:7], first[7:] + second[:1], second[1:] + b"[DO", b"NE]")) as port:
        result = load(port, path=CHAT, body="{}", requests=2, seconds=5, marks=2, expect="[DONE]")
    assert (result.units, result.marks, result.errors) == (2, 4, 0)


@pytest.mark.parametrize(
    ("answer", "field", "lost"),
    [
        (chunked(mark(0), b"[DONE]"), "bad_body", 1),
        (chunked(mark(1), mark(0), b"[DONE]"), "bad_body", 0),
        (chunked(mark(0), mark(1)), "bad_body", 0),
        (chunked(mark(0), mark(1), b"[DONE]")[:-5], "closed", 0),
        (chunked(mark(0))[:-9], "closed", 2),
        (b"", "closed", 2),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "bad_status", 0),
    ],
    ids=["lost chunk", "wrong order", "no end", "cut end", "cut chunk", "hung up", "status"],
)
def test_nothing_wrong_passes(answer: bytes, field: str, lost: int) -> None:
    with server_that_says(answer) as port:
        result = load(port, path=CHAT, body="{}", requests=1, seconds=5, marks=2, expect="[DONE]")
    assert (getattr(result, field), result.errors, result.lost_marks) == (1, 1, lost)
    assert result.units == 0


def test_an_answer_that_never_comes_is_unfinished() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = load(
            silent.getsockname()[1], path=CHAT, body="{}", requests=1, seconds=0.1, grace=0.1, marks=3
        )
    assert (result.unfinished, result.errors, result.lost_marks) == (1, 1, 3)


def test_nobody_listens() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        result = load(unheard.getsockname()[1], path=CHAT, body="{}", requests=3, seconds=5)
    assert (result.refused, result.errors) == (3, 3)
