"""The provider's double on a raw socket: routes, headers, queues, refusals as the official API has them."""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gateway.plugin_api.testing import Received, reply, stream_reply

GOLDEN = Path(__file__).parents[2] / "golden" / "dashscope"
CHINA = timezone(timedelta(hours=8))
SERVICES = "/api/v1/services/aigc/"
QUEUED = (
    "text2image/image-synthesis",
    "image2image/image-synthesis",
    "image-generation/generation",
    "video-generation/video-synthesis",
    "image2video/video-synthesis",
)
RESULT = "https://dashscope-result-sgp.oss-ap-southeast-1.aliyuncs.com"


class Cloud:
    """Answers as the provider would; tests reach in: `running` is how many polls a task takes."""

    def __init__(self, key: str = "sk-canary-1") -> None:
        self.key = key
        self.running = 1
        self.fail: dict[str, str] | None = None
        self.lose = False
        self.text = (GOLDEN / "text.stream").read_bytes()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.orders: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.stored: dict[str, bytes] = {}
        self.storage_status = 200
        self.most_mb = 1024.0
        self.url = ""

    def answer(self, received: Received) -> bytes | list[bytes] | None:
        path = received.path.partition("?")[0]
        if path == "/storage":
            return self._store(received)
        if received.headers.get("authorization") != f"Bearer {self.key}":
            return self._no_key(path)
        if path == "/compatible-mode/v1/chat/completions":
            self.orders.append((path, json.loads(received.body), received.headers))
            return stream_reply(*(self.text[at : at + 50] for at in range(0, len(self.text), 50)))
        if path == "/api/v1/uploads":
            return self._grant(received)
        if path.startswith(SERVICES):
            return self._make(path.removeprefix(SERVICES), received)
        return self._about_tasks(received)

    def _no_key(self, path: str) -> bytes:
        if path.startswith("/compatible-mode"):
            error = {"message": "Incorrect API key provided.", "type": "invalid_request_error"}
            return native(401, error={**error, "param": None, "code": "invalid_api_key"})
        return refusal(401, "InvalidApiKey", "Invalid API-key provided.")

    def _make(self, route: str, received: Received) -> bytes | list[bytes] | None:
        body = json.loads(received.body)
        self.orders.append((route, body, received.headers))
        queued = received.headers.get("x-dashscope-async") == "enable"
        if queued != (route in QUEUED):
            return refusal(403, "AccessDenied", "current user api does not support synchronous calls.")
        if b"oss://" in received.body and "x-dashscope-ossresourceresolve" not in received.headers:
            return refusal(400, "InvalidParameter", "url error, please check url!")
        if self.fail and not queued:
            return refusal(400, **self.fail)
        return self._queue(route, body) if queued else native(200, **drawn(route, body))

    def _queue(self, route: str, body: dict[str, Any]) -> bytes | list[bytes]:
        task_id = f"{len(self.tasks):08x}-aaaa-bbbb-cccc-0123456789ab"
        size = body["parameters"].get("size", "1*1")
        bad = not re.fullmatch(r"\d+\*\d+", size)  # found in the queue only
        fail = self.fail or ({"code": "InvalidParameter", "message": "bad size"} if bad else None)
        self.tasks[task_id] = {
            "route": route,
            "body": body,
            "polls": 0,
            "state": "PENDING",
            "fail": fail,
            "made": datetime.now(CHINA),
        }
        if self.lose:
            return []
        return native(200, output={"task_status": "PENDING", "task_id": task_id}, request_id="r-1")

    def _about_tasks(self, received: Received) -> bytes:
        parts = urlsplit(received.path)
        words = parts.path.removeprefix("/api/v1/tasks").strip("/").split("/")
        if words == [""]:
            return self._list(parse_qs(parts.query))
        task = self.tasks.get(words[0])
        if words[1:] == ["cancel"]:
            if task is None or task["state"] != "PENDING":
                return refusal(400, "UnsupportedOperation", "Failed to cancel the task.")
            task["state"] = "CANCELED"
            return native(200, request_id="r-2")
        if task is None:
            return native(200, output={"task_id": words[0], "task_status": "UNKNOWN"}, request_id="r-3")
        return native(200, **self._state(words[0], task))

    def _state(self, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        if task["state"] in ("PENDING", "RUNNING"):
            task["polls"] += 1
            task["state"] = "RUNNING"
            if task["polls"] > self.running:
                task["state"] = "FAILED" if task["fail"] else "SUCCEEDED"
        output = {"task_id": task_id, "task_status": task["state"], "submit_time": "2026-01-02 11:04:05.123"}
        if task["state"] == "FAILED":
            output |= task["fail"]
        if task["state"] != "SUCCEEDED":
            return {"output": output, "request_id": "r-4"}
        made = drawn(task["route"], task["body"])
        return made | {"output": output | made["output"]}

    def _list(self, query: dict[str, list[str]]) -> bytes:
        start, end, model = query["start_time"][0], query["end_time"][0], query["model_name"][0]
        rows = [
            {"task_id": task_id, "status": task["state"], "model_name": task["body"]["model"]}
            for task_id, task in self.tasks.items()
            if start <= task["made"].strftime("%Y%m%d%H%M%S") <= end and task["body"]["model"] == model
        ]
        size = int(query["page_size"][0])
        return native(200, total=len(rows), data=rows[:size], page_no=1, page_size=size, request_id="r-5")

    def _grant(self, received: Received) -> bytes:
        query = parse_qs(urlsplit(received.path).query)
        assert query["action"] == ["getPolicy"]
        policy = {
            "policy": "cG9saWN5",
            "signature": "c2ln",
            "upload_dir": f"dashscope-instant/{query['model'][0]}",
            "upload_host": f"{self.url}/storage",
            "expire_in_seconds": 300,
            "max_file_size_mb": self.most_mb,
            "oss_access_key_id": "LTAI",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        return native(200, request_id="r-6", data=policy)

    def _store(self, received: Received) -> bytes:
        assert "authorization" not in received.headers
        boundary = received.headers["content-type"].partition("boundary=")[2].encode()
        *parts, end = received.body.split(b"--" + boundary)[1:]
        assert end == b"--\r\n"
        fields = {}
        for part in parts:
            head, _, data = part.partition(b"\r\n\r\n")
            fields[head.partition(b'name="')[2].partition(b'"')[0].decode()] = data.removesuffix(b"\r\n")
        assert list(fields)[-1] == "file"
        assert fields["Signature"] == b"c2ln"
        assert fields["OSSAccessKeyId"] == b"LTAI"
        self.stored[fields["key"].decode()] = fields["file"]
        return reply(self.storage_status, b"")


def native(status: int, **body: Any) -> bytes:
    return reply(status, json.dumps(body).encode())


def refusal(status: int, code: str, message: str) -> bytes:
    return native(status, request_id="r-0", code=code, message=message)


def drawn(route: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a finished order shows; some models make four pictures if nobody says how many."""
    count = body["parameters"].get("n", 4)
    urls = [f"{RESULT}/{number}.png?Expires=1&Signature=s" for number in range(count)]
    if route.endswith("video-synthesis"):
        output = {"video_url": f"{RESULT}/a.mp4?Expires=1", "orig_prompt": body["input"].get("prompt", "")}
        usage = {"duration": 5, "output_video_duration": 5, "video_count": 1, "SR": "720"}
        return {"output": output, "usage": usage, "request_id": "r-7"}
    if route in ("text2image/image-synthesis", "image2image/image-synthesis"):
        results = [{"orig_prompt": body["input"]["prompt"], "url": url} for url in urls]
        return {"output": {"results": results}, "usage": {"image_count": count}, "request_id": "r-8"}
    width, height = map(int, body["parameters"].get("size", "1024*1024").split("*"))
    choices = [
        {"finish_reason": "stop", "message": {"role": "assistant", "content": [{"image": url}]}}
        for url in urls
    ]
    usage = {"width": width, "height": height, "image_count": count}
    return {"output": {"choices": choices}, "usage": usage, "request_id": "r-9"}
