"""The provider's temporary storage: attachments that are too large to be sent inside a call.

What is put there is bound to the account and the model it was asked for, and lives for 48 hours.
"""

import base64
import binascii
import secrets
from collections.abc import Iterable
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from gateway.generation.errors import InvalidAnswer, InvalidRequest, UpstreamUnavailable
from gateway.generation.requests import GenerationRequest, MediaPart, Message, Part
from gateway.plugin_api import Account, decode_json, fetch
from gateway_dashscope.client import Client

__all__ = ["Storage", "is_stored"]

_SCHEME = "oss://"


class _Policy(msgspec.Struct):
    """What a form must show to the storage: no token of ours goes there."""

    policy: str
    signature: str
    upload_dir: str
    upload_host: str
    oss_access_key_id: str
    x_oss_object_acl: str
    x_oss_forbid_overwrite: str
    max_file_size_mb: float = 0.0


class _Granted(msgspec.Struct):
    data: _Policy


_GRANTED = msgspec.json.Decoder(_Granted)


def is_stored(request: GenerationRequest) -> bool:
    """Whether the request names files in the temporary storage, which the call's headers must say."""
    parts = (part for message in request.messages for part in message.content)
    return any(isinstance(part, MediaPart) and part.url.startswith(_SCHEME) for part in parts)


class Storage:
    """Puts attachments where the provider can fetch them."""

    def __init__(self, client: Client, inline_bytes: int) -> None:
        self._client = client
        self._inline_bytes = inline_bytes

    def wants(self, request: GenerationRequest) -> bool:
        """Whether the request holds a large attachment."""
        return any(self._is_large(part) for message in request.messages for part in message.content)

    async def keep_large(self, request: GenerationRequest, account: Account) -> GenerationRequest:
        """Return the request with its large attachments in the storage; nothing here costs money.

        Raises:
            InvalidRequest: an attachment is not base64, or too large for the storage.
        """
        messages = [await self._keep_of(message, request.model, account) for message in request.messages]
        return replace(request, messages=tuple(messages))

    async def _keep_of(self, message: Message, model: str, account: Account) -> Message:
        content = [await self._keep(part, model, account) for part in message.content]
        return replace(message, content=tuple(content))

    async def _keep(self, part: Part, model: str, account: Account) -> Part:
        if not isinstance(part, MediaPart) or not self._is_large(part):
            return part
        media_type, data = _read_data_url(part.url)
        return replace(part, url=await self._put(data, media_type, model, account))

    def _is_large(self, part: Part) -> bool:
        # Three bytes are four characters in base64.
        large = self._inline_bytes * 4 // 3
        return isinstance(part, MediaPart) and part.url.startswith("data:") and len(part.url) > large

    async def _put(self, data: bytes, media_type: str, model: str, account: Account) -> str:
        asked = f"/api/v1/uploads?action=getPolicy&model={quote(model, safe='')}"
        policy = decode_json(await self._client.call("GET", asked, account), _GRANTED).data
        if policy.max_file_size_mb and len(data) > policy.max_file_size_mb * 2**20:
            raise InvalidRequest(
                f"The provider takes files of up to {policy.max_file_size_mb:g} MB.", param="messages"
            )
        key = f"{policy.upload_dir}/{secrets.token_hex(16)}.{media_type.rpartition('/')[2]}"
        content_type, body = _form(_fields(policy, key), data, media_type)
        answer = await fetch(
            self._client.transport,
            "POST",
            policy.upload_host,
            headers=[(b"content-type", content_type)],
            body=body,
        )
        if answer.status not in (200, 201, 204):
            raise _refused(answer.status)
        return f"{_SCHEME}{key}"


def _fields(policy: _Policy, key: str) -> list[tuple[str, str]]:
    return [
        ("OSSAccessKeyId", policy.oss_access_key_id),
        ("Signature", policy.signature),
        ("policy", policy.policy),
        ("key", key),
        ("x-oss-object-acl", policy.x_oss_object_acl),
        ("x-oss-forbid-overwrite", policy.x_oss_forbid_overwrite),
        ("success_action_status", "200"),
    ]


def _form(fields: Iterable[tuple[str, str]], data: bytes, media_type: str) -> tuple[bytes, bytes]:
    """Write a form, the file last: the storage ignores what follows it."""
    boundary = secrets.token_hex(16).encode()
    parts = [
        b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (boundary, name.encode(), value.encode())
        for name, value in fields
    ]
    head = b'--%b\r\ncontent-disposition: form-data; name="file"; filename="file"\r\ncontent-type: %b\r\n\r\n'
    body = b"".join([*parts, head % (boundary, media_type.encode()), data, b"\r\n--%b--\r\n" % boundary])
    return b"multipart/form-data; boundary=" + boundary, body


def _read_data_url(url: str) -> tuple[str, bytes]:
    head, _, text = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    try:
        if encoding.rpartition(";")[2] != "base64":
            raise ValueError("not base64")
        return media_type or "application/octet-stream", base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("a data: URL must hold base64", param="messages") from error


def _refused(status: int) -> Exception:
    """Return an error of the upload alone: nothing was ordered yet."""
    if status >= 500:
        return UpstreamUnavailable("The provider's file storage answered with a server error.")
    return InvalidAnswer("The provider's file storage refused the upload.")
