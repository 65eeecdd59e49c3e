"""Check the signatures of uploads, as the object storage behind the Qwen chat wire does.

Both header signature versions of Alibaba Cloud OSS are understood: V1
(HMAC-SHA1, `OSS ak:signature`) and V4 (HMAC-SHA256, `OSS4-HMAC-SHA256 Credential=...`).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import msgspec

__all__ = ["BUCKET", "REGION", "SignatureError", "StorageKeys", "Upload", "sign_v1", "sign_v4", "verify"]

BUCKET = "qwen-webui-prod"
REGION = "ap-southeast-1"

_V4 = re.compile(
    r"OSS4-HMAC-SHA256 Credential=(?P<ak>[^/,]+)/(?P<scope>[^,]+)"
    r"(?:,\s*AdditionalHeaders=(?P<more>[^,]+))?,\s*Signature=(?P<signature>[0-9a-f]+)$"
)
_V1 = re.compile(r"OSS (?P<ak>[^:]+):(?P<signature>\S+)$")
_MAX_SKEW_SECONDS = 15 * 60


class SignatureError(Exception):
    """An upload that must be refused; `code` is the storage's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StorageKeys(msgspec.Struct, frozen=True):
    """The temporary keys of one upload."""

    access_key_id: str
    access_key_secret: str
    security_token: str


class Upload(msgspec.Struct, frozen=True):
    """The signed part of a PUT: object key, header names in lower case, raw query string."""

    key: str
    headers: Mapping[str, str]
    query: str = ""
    method: str = "PUT"


def verify(upload: Upload, keys: StorageKeys, now: float) -> None:
    """Raise `SignatureError` unless `keys` signed this upload within 15 minutes of `now`."""
    if upload.query:
        raise SignatureError("SignatureDoesNotMatch", "The upload must go to the URL without its query.")
    if upload.headers.get("x-oss-security-token") != keys.security_token:
        raise SignatureError("InvalidSecurityToken", "The security token you provided is invalid.")
    authorization = upload.headers.get("authorization", "")
    if match := _V4.fullmatch(authorization):
        _verify_v4(upload, keys, match, now)
    elif match := _V1.fullmatch(authorization):
        _verify_v1(upload, keys, match, now)
    else:
        raise SignatureError("AccessDenied", "The request carries no signature that can be read.")


def sign_v4(upload: Upload, keys: StorageKeys, more: str = "") -> str:
    """Return the V4 signature (hex) over the upload's headers; `x-oss-date` must be among them."""
    stamp = upload.headers.get("x-oss-date", "")
    scope = f"{stamp[:8]}/{REGION}/oss/aliyun_v4_request"
    digest = hashlib.sha256(_canonical_v4(upload, more).encode()).hexdigest()
    key = b"aliyun_v4" + keys.access_key_secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()


def sign_v1(upload: Upload, keys: StorageKeys) -> str:
    """Return the V1 signature (base64) over the upload's headers; `date` must be among them."""
    headers = upload.headers
    own = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-oss-")]
    plain = [headers.get(name, "") for name in ("content-md5", "content-type", "date")]
    text = "\n".join([upload.method, *plain, *own, f"/{BUCKET}/{upload.key}"])
    digest = hmac.digest(keys.access_key_secret.encode(), text.encode(), "sha1")
    return base64.b64encode(digest).decode()


def _verify_v4(upload: Upload, keys: StorageKeys, match: re.Match[str], now: float) -> None:
    stamp = upload.headers.get("x-oss-date", "")
    try:
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError("InvalidDateFormat", "x-oss-date is missing or malformed.") from None
    if match["scope"] != f"{stamp[:8]}/{REGION}/oss/aliyun_v4_request":
        raise SignatureError("SignatureDoesNotMatch", "The credential scope does not fit date and region.")
    if upload.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        raise SignatureError("InvalidArgument", "x-oss-content-sha256 must be UNSIGNED-PAYLOAD.")
    _compare(match, keys, sign_v4(upload, keys, match["more"] or ""), signed, now)


def _verify_v1(upload: Upload, keys: StorageKeys, match: re.Match[str], now: float) -> None:
    try:
        signed = parsedate_to_datetime(upload.headers.get("x-oss-date") or upload.headers.get("date", ""))
    except ValueError:
        raise SignatureError("AccessDenied", "The Date header is missing or malformed.") from None
    _compare(match, keys, sign_v1(upload, keys), signed, now)


def _compare(match: re.Match[str], keys: StorageKeys, expected: str, signed: datetime, now: float) -> None:
    if match["ak"] != keys.access_key_id:
        raise SignatureError("InvalidAccessKeyId", "The access key id does not exist.")
    if not hmac.compare_digest(match["signature"], expected):
        raise SignatureError("SignatureDoesNotMatch", "The signature does not match the request.")
    if abs(signed.timestamp() - now) > _MAX_SKEW_SECONDS:
        raise SignatureError("RequestTimeTooSkewed", "The clock of the client is more than 15 minutes off.")


def _canonical_v4(upload: Upload, more: str) -> str:
    extra = set(more.lower().split(";")) if more else set()
    names = sorted(name for name in upload.headers if _is_signed(name) or name in extra)
    lines = "".join(f"{name}:{upload.headers[name].strip()}\n" for name in names)
    path = quote(f"/{BUCKET}/{upload.key}", safe="/-_.~")
    return f"{upload.method}\n{path}\n\n{lines}\n{more}\nUNSIGNED-PAYLOAD"


def _is_signed(name: str) -> bool:
    return name in ("content-type", "content-md5") or name.startswith("x-oss-")
