"""Signature version 4 of Alibaba Cloud OSS, for one PUT with temporary keys."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

__all__ = ["StorageKeys", "sign_put"]

_PAYLOAD = "UNSIGNED-PAYLOAD"
_SAFE = "/-_.~"


class StorageKeys(msgspec.Struct, frozen=True):
    """Temporary keys for one object; `region` is named without a leading ``oss-``."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    region: str


def sign_put(bucket: str, key: str, media_type: str, keys: StorageKeys, now: datetime) -> dict[str, str]:
    """Return the headers of a PUT of `key` (not URL-encoded), `authorization` among them.

    The content type is signed, so exactly this one must be sent. The storage refuses a clock that is more
    than 15 minutes off.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": media_type,
        "x-oss-content-sha256": _PAYLOAD,
        "x-oss-date": stamp,
        "x-oss-security-token": keys.security_token,
    }
    scope = f"{stamp[:8]}/{keys.region}/oss/aliyun_v4_request"
    digest = hashlib.sha256(_canonical_request(bucket, key, headers).encode()).hexdigest()
    signature = _sign(keys.access_key_secret, scope, f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}")
    credential = f"{keys.access_key_id}/{scope}"
    return {**headers, "authorization": f"OSS4-HMAC-SHA256 Credential={credential},Signature={signature}"}


def _canonical_request(bucket: str, key: str, headers: Mapping[str, str]) -> str:
    """Say what is signed; the path begins with the bucket, although the URL has it before the host."""
    signed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path = quote(f"/{bucket}/{key}", safe=_SAFE)
    return f"PUT\n{path}\n\n{signed}\n\n{_PAYLOAD}"


def _sign(secret: str, scope: str, text: str) -> str:
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
