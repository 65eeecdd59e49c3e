"""Uploads: temporary keys, the signed PUT, and reading back what was put."""

import hmac
import secrets
import uuid
from email.utils import formatdate
from hashlib import md5
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec
from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from ..calls import decode
from ..records import File
from ..refusals import bad_request, not_found
from ..sandbox import Sandbox
from ..signing import BUCKET, REGION, SignatureError, StorageKeys, Upload, verify
from .answers import flat, origin, succeeded

__all__ = ["FILES"]

_LINK_SECONDS = 300
_KEYS_SECONDS = 3600


class _Announcement(msgspec.Struct, kw_only=True):
    """What is going to be uploaded; clients differ in how they spell the fields."""

    filename: str = ""
    file_name: str = ""
    filesize: int | str = -1
    file_size: int | str = -1
    filetype: str = ""
    file_type: str = ""


@post("/api/v1/files/getstsToken", status_code=200)
async def keys_for_upload(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]
) -> Response[bytes]:
    """Temporary keys and the path to upload to."""
    return flat(await _announce(request, sandbox))


@post("/api/v2/files/getstsToken", status_code=200)
async def keys_for_upload_v2(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]
) -> Response[bytes]:
    """Return the same in the v2 envelope."""
    return succeeded(await _announce(request, sandbox))


@post("/api/v2/files/parse", status_code=200)
async def parse_file(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Make a document ready for use; here it always is."""
    owner = sandbox.caller(request)
    file_id = decode(await request.body(), dict[str, Any]).get("file_id")
    if not any(file.file_id == file_id for file in await sandbox.store.find(File, owner=owner)):
        raise not_found(f"File {file_id} is not exist")
    return succeeded({"file_id": file_id, "status": "success"})


@put("/{owner:str}/{name:str}", status_code=200)
async def store_object(
    request: Request[Any, Any, Any],
    sandbox: NamedDependency[Sandbox],
    owner: FromPath[str],
    name: FromPath[str],
) -> Response[bytes]:
    """Keep an object if its announced keys signed the request (OSS header signature V4 or V1)."""
    path = f"{owner}/{name}"
    file = await sandbox.store.get(File, path)
    query = request.scope["query_string"].decode()
    try:
        if file is None:
            raise SignatureError("InvalidAccessKeyId", "Nobody announced this object.")
        verify(Upload(path, dict(request.headers.items()), query), _keys(file), sandbox.now())
    except SignatureError as error:
        return _storage_error(error)
    content = await request.body()
    media_type = request.headers.get("content-type", "application/octet-stream")
    kept = msgspec.structs.replace(file, media_type=media_type, size=len(content))
    await sandbox.store.write_blob(path, content, kept)
    etag = md5(content, usedforsecurity=False).hexdigest().upper()
    return Response(
        b"", status_code=200, headers={"etag": f'"{etag}"', "x-oss-request-id": secrets.token_hex(12)}
    )


@get("/{owner:str}/{name:str}")
async def read_object(
    request: Request[Any, Any, Any],
    sandbox: NamedDependency[Sandbox],
    owner: FromPath[str],
    name: FromPath[str],
) -> Response[bytes]:
    """Return the bytes of an upload, for whoever has the signed link of the last five minutes."""
    path = f"{owner}/{name}"
    query = parse_qs(request.scope["query_string"].decode())
    expires = query.get("x-oss-expires", ["0"])[0]
    signature = query.get("x-oss-signature", [""])[0]
    known = hmac.compare_digest(signature.encode(), _sign_link(sandbox, path, expires).encode())
    if not known or not expires.isdecimal() or int(expires) < sandbox.now():
        return _storage_error(SignatureError("AccessDenied", "The link is not signed, or it has expired."))
    file, content = await sandbox.store.get(File, path), await sandbox.store.read_blob(path)
    if file is None or content is None:
        return _storage_error(SignatureError("NoSuchKey", "The object was not uploaded."), 404)
    return Response(content, status_code=200, media_type=file.media_type)


FILES = [keys_for_upload, keys_for_upload_v2, parse_file, store_object, read_object]


async def _announce(request: Request[Any, Any, Any], sandbox: Sandbox) -> dict[str, Any]:
    owner = sandbox.caller(request)
    told = decode(await request.body(), _Announcement)
    name, kind = told.filename or told.file_name, told.filetype or told.file_type
    size = max(int(told.filesize), int(told.file_size)) if _whole(told) else -1
    if not name or not kind or size < 0 or "/" in name:
        raise bad_request("Invalid file information!")
    file_id = str(uuid.uuid4())
    file = File(
        id=f"{owner}/{file_id}_{name}",
        owner=owner,
        created=sandbox.now(),
        file_id=file_id,
        name=name,
        kind=kind,
        declared_size=size,
        access_key_id=f"STS.{secrets.token_urlsafe(16)}",
        access_key_secret=secrets.token_urlsafe(32),
        security_token=secrets.token_urlsafe(64),
    )
    await sandbox.store.put(file)
    return _reply(sandbox, file, origin(request))


def _whole(told: _Announcement) -> bool:
    return all(str(size).removeprefix("-").isdecimal() for size in (told.filesize, told.file_size))


def _reply(sandbox: Sandbox, file: File, base: str) -> dict[str, Any]:
    expires = str(int(sandbox.now()) + _LINK_SECONDS)
    query = f"x-oss-expires={expires}&x-oss-signature={_sign_link(sandbox, file.id, expires)}"
    return {
        "access_key_id": file.access_key_id,
        "access_key_secret": file.access_key_secret,
        "security_token": file.security_token,
        "file_url": f"{base}/{quote(file.id)}?{query}",
        "file_path": file.id,
        "file_id": file.file_id,
        "bucketname": BUCKET,
        "region": f"oss-{REGION}",
        "endpoint": base,
        "expiration": formatdate(sandbox.now() + _KEYS_SECONDS, usegmt=True),
    }


def _sign_link(sandbox: Sandbox, path: str, expires: str) -> str:
    return hmac.digest(sandbox.secret.encode(), f"{path}\n{expires}".encode(), "sha256").hex()


def _keys(file: File) -> StorageKeys:
    return StorageKeys(file.access_key_id, file.access_key_secret, file.security_token)


def _storage_error(error: SignatureError, status: int = 403) -> Response[bytes]:
    text = f"<Error><Code>{error.code}</Code><Message>{error}</Message></Error>"
    return Response(text.encode(), status_code=status, media_type="application/xml")
