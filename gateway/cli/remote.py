"""A running gateway, seen from outside: plain HTTP, as any client would."""

import urllib.error
import urllib.request
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.cli.problems import CANNOT, NO, Problem

__all__ = ["Remote"]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects without the key: it is for the address that was asked."""

    def redirect_request(self, *args: Any, **named: Any) -> urllib.request.Request | None:
        request = super().redirect_request(*args, **named)
        if request is not None:
            request.remove_header("Authorization")
        return request


class Remote:
    """The gateway at `url`, asked with a client key ("" for none)."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self._key = key
        # A proxy in the environment is no way to this very machine.
        proxies = urllib.request.ProxyHandler({}) if _is_local(url) else urllib.request.ProxyHandler()
        self._opener = urllib.request.build_opener(proxies, _Redirects)

    def get(self, path: str) -> Any:
        """Return the JSON at `path`. Raises `Problem`."""
        return self._ask("GET", path)

    def post(self, path: str, body: Any, *, seconds: float = 30.0) -> Any:
        """Send JSON, return JSON. Raises `Problem`."""
        return self._ask("POST", path, msgspec.json.encode(body), seconds)

    def delete(self, path: str) -> Any:
        """Delete what is at `path`, return the JSON answer. Raises `Problem`."""
        return self._ask("DELETE", path)

    def download(self, url: str, *, seconds: float = 60.0) -> bytes:
        """Return the bytes at an address that the gateway gave; the key is sent to the gateway only.

        Raises:
            Problem: they cannot be had.
        """
        if not url.startswith(("http://", "https://")):
            raise Problem(f"not an address that can be downloaded: {url[:200]}", NO)
        headers = self._headers() if url.startswith(f"{self.url}/") else {}
        return self._send(urllib.request.Request(url, headers=headers), seconds)  # noqa: S310 - checked above

    def _ask(self, method: str, path: str, body: bytes | None = None, seconds: float = 30.0) -> Any:
        headers = {**self._headers(), "content-type": "application/json"}
        if not self.url.startswith(("http://", "https://")):
            raise Problem(f"--url must begin with http:// or https://, not {self.url}")
        request = urllib.request.Request(  # noqa: S310 - checked above
            self.url + path, data=body, headers=headers, method=method
        )
        answer = self._send(request, seconds)
        try:
            return msgspec.json.decode(answer)
        except msgspec.DecodeError:
            raise Problem(f"{self.url} is no gateway: {method} {path} did not answer with JSON", NO) from None

    def _send(self, request: urllib.request.Request, seconds: float) -> bytes:
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                found: bytes = answer.read()
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise Problem(f"{error.code}: {_sentence(error.read())}", NO) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Problem(f"nothing answers at {request.host}: {reason}", CANNOT) from error

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"} if self._key else {}


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _sentence(body: bytes) -> str:
    """Return what an error's body says, in either dialect's shape."""
    try:
        error = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "no explanation"
    match error:
        case {"error": {"message": str(message)}}:
            return message
        case {"error": str(word), "detail": str(detail)} if detail not in ("", word):
            return f"{word}: {detail}"
        case {"error": str(word)}:
            return word
    return "no explanation"
