"""Uploads: signed for real, kept, readable, and the account's own."""

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.anyio


async def announce(site, name="a.txt", size=5, kind="file"):
    body = {"filename": name, "filesize": size, "filetype": kind}
    return (await site.post("/api/v1/files/getstsToken", body)).json()


def v4(keys, media_type="text/plain", at=None, secret=None):
    """Headers of a V4 upload, signed by an implementation of the test's own."""
    stamp = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    signed = {
        "content-type": media_type,
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": stamp,
        "x-oss-security-token": keys["security_token"],
    }
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    path = quote(f"/{keys['bucketname']}/{keys['file_path']}", safe="/-_.~")
    canonical = f"PUT\n{path}\n\n{lines}\n\nUNSIGNED-PAYLOAD"
    scope = f"{stamp[:8]}/{keys['region'].removeprefix('oss-')}/oss/aliyun_v4_request"
    text = f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("aliyun_v4" + (secret or keys["access_key_secret"])).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"{keys['access_key_id']}/{scope}"
    return {**signed, "authorization": f"OSS4-HMAC-SHA256 Credential={credential},Signature={key.hex()}"}


def v1(keys, media_type="text/plain"):
    date = format_datetime(datetime.now(UTC), usegmt=True)
    token = keys["security_token"]
    resource = f"/{keys['bucketname']}/{keys['file_path']}"
    text = f"PUT\n\n{media_type}\n{date}\nx-oss-security-token:{token}\n{resource}"
    digest = hmac.new(keys["access_key_secret"].encode(), text.encode(), hashlib.sha1).digest()
    signature = base64.b64encode(digest).decode()
    authorization = f"OSS {keys['access_key_id']}:{signature}"
    return {
        "date": date,
        "content-type": media_type,
        "x-oss-security-token": token,
        "authorization": authorization,
    }


async def put(site, keys, headers, content=b"hello"):
    return await site.http.put(keys["file_url"].split("?")[0], headers=headers, content=content)


def entry(keys, name="a.txt", kind="file", media_type="text/plain"):
    return {
        "type": kind,
        "name": name,
        "file_type": media_type,
        "status": "uploaded",
        "url": keys["file_url"],
    }


@pytest.mark.parametrize("sign", [v4, v1])
@pytest.mark.parametrize("name", ["a.txt", "кот a.txt", "100% + «x».txt"])
async def test_a_signed_upload_is_kept_and_readable(site, sign, name):
    keys = await announce(site, name)
    reply = await put(site, keys, sign(keys))
    assert reply.status_code == 200
    assert reply.headers["etag"] == f'"{hashlib.md5(b"hello").hexdigest().upper()}"'
    assert (await site.http.get(keys["file_url"])).content == b"hello"
    assert (await site.http.get(keys["file_url"].split("?")[0])).status_code == 403


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda keys: v4(keys, secret="wrong"), "SignatureDoesNotMatch"),
        (lambda keys: v4(keys) | {"content-type": "image/png"}, "SignatureDoesNotMatch"),
        (lambda keys: v4(keys) | {"x-oss-meta-more": "1"}, "SignatureDoesNotMatch"),
        (lambda keys: v4(keys | {"access_key_id": "STS.other"}), "InvalidAccessKeyId"),
        (lambda keys: v4(keys | {"security_token": "other"}), "InvalidSecurityToken"),
        (lambda keys: v4(keys, at=datetime.now(UTC) - timedelta(minutes=16)), "RequestTimeTooSkewed"),
        (lambda keys: v4(keys) | {"x-oss-date": "yesterday"}, "InvalidDateFormat"),
        (lambda keys: v1(keys) | {"content-type": "image/png"}, "SignatureDoesNotMatch"),
        (lambda keys: v1(keys) | {"date": "yesterday"}, "AccessDenied"),
        (lambda keys: v4(keys) | {"authorization": "Bearer alice"}, "AccessDenied"),
    ],
)
async def test_a_wrong_signature_is_refused(site, spoil, code):
    keys = await announce(site)
    reply = await put(site, keys, spoil(keys))
    assert reply.status_code == 403
    assert f"<Code>{code}</Code>" in reply.text
    assert (await site.http.get(keys["file_url"])).status_code == 404


async def test_the_presigned_address_is_not_for_writing(site):
    keys = await announce(site)
    reply = await site.http.put(keys["file_url"], headers=v4(keys), content=b"hello")
    assert "SignatureDoesNotMatch" in reply.text


async def test_the_keys_of_one_object_do_not_write_another(site):
    one, other = await announce(site), await announce(site)
    reply = await put(site, other, v4({**one, "file_path": other["file_path"]}))
    assert reply.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filename": "a"},
        {"filename": "a", "filesize": 1},
        {"filename": "a/b", "filesize": 1, "filetype": "file"},
        {"filename": "a", "filesize": "many", "filetype": "file"},
        {"filename": "a", "filetype": "file"},
    ],
)
async def test_an_announcement_needs_name_size_and_type(site, body):
    reply = await site.post("/api/v2/files/getstsToken", body)
    assert reply.json()["data"] == {"code": "Bad_Request", "details": "Invalid file information!"}


async def test_other_spellings_and_the_envelope(site):
    body = {"file_name": "a.png", "file_size": "3", "file_type": "image"}
    data = (await site.post("/api/v2/files/getstsToken", body)).json()["data"]
    assert data["file_path"].endswith("_a.png")


async def test_an_attached_text_is_quoted(site, read):
    keys = await announce(site, "notes.txt", 24)
    await put(site, keys, v4(keys), b"First line here.\nSecond.")
    answer = await site.say("describe this file", files=[entry(keys, "notes.txt")])
    assert "notes.txt (text/plain, 24 bytes)" in answer
    assert "First line here." in answer
    assert "Second" not in answer


async def test_the_file_of_another_account_does_not_exist(sites):
    keys = await announce(sites("alice"))
    await put(sites("alice"), keys, v4(keys))
    bob = sites("bob")
    reply = await bob.ask(await bob.new_chat(), "what is this?", files=[entry(keys)])
    assert reply.json()["data"]["code"] == "Not_Found"


async def test_a_file_that_was_only_announced_does_not_exist(site):
    keys = await announce(site)
    reply = await site.ask(await site.new_chat(), "what is this?", files=[entry(keys)])
    assert reply.json()["data"]["code"] == "Not_Found"


async def test_documents_must_be_uploaded(site):
    link = {"type": "file", "name": "a.pdf", "url": "https://example.com/a.pdf"}
    reply = await site.ask(await site.new_chat(), "what is this?", files=[link])
    assert "uploaded" in reply.json()["data"]["details"]


async def test_an_attached_picture_becomes_the_picture(site, read, red_png):
    keys = await announce(site, "red.png", len(red_png), "image")
    await put(site, keys, v4(keys, "image/png"), red_png)
    files = [entry(keys, "red.png", "image", "image/png")]
    chat = await site.new_chat()
    payloads = read.frames(await site.ask(chat, "in winter", kind="image_edit", files=files, size="16:9"))
    assert (payloads[-1]["usage"]["width"], payloads[-1]["usage"]["height"]) == (1344, 768)
    url = read.deltas(payloads)[0]["content"]
    assert (await site.http.get(url)).content[:4] == b"\x89PNG"


async def test_uploads_at_the_same_time_do_not_mix(site):
    async def upload(text):
        keys = await announce(site)
        await put(site, keys, v4(keys), text)
        return (await site.http.get(keys["file_url"])).content

    texts = [str(at).encode() * 5 for at in range(8)]
    assert await asyncio.gather(*map(upload, texts)) == texts


@pytest.fixture
def red_png():
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 20, 20)).save(out, "PNG")
    return out.getvalue()
