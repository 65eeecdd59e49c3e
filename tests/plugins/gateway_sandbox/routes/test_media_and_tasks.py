"""Videos from creation to file, pictures by their address."""

import asyncio
import io

import pytest
from PIL import Image

pytestmark = pytest.mark.anyio


async def create(site, text="waves at sunset", **more):
    reply = (await site.ask(await site.new_chat(), text, kind="t2v", **more)).json()
    return reply["data"]["messages"][0]["extra"]["wanx"]["task_id"]


async def finished(site, task):
    for _ in range(100):
        state = (await site.get(f"/api/v1/tasks/status/{task}")).json()
        if state["task_status"] != "running":
            return state
        await asyncio.sleep(0.02)
    raise AssertionError("the video did not end")


async def picture_url(site, read, text="a calm sea", **more):
    return read.deltas(read.frames(await site.ask(await site.new_chat(), text, kind="t2i", **more)))[0][
        "content"
    ]


async def test_a_video_runs_then_succeeds_and_plays(site):
    task = await create(site, size="1:1")
    assert (await site.get(f"/api/v1/tasks/status/{task}")).json()["task_status"] == "running"
    state = await finished(site, task)
    assert state["task_status"] == "success"
    film = (await site.http.get(state["content"])).content
    assert film[4:8] == b"ftyp"
    assert film == (await site.http.get(state["content"])).content


async def test_both_status_routes_tell_the_same(site):
    task = await create(site)
    flat = (await site.get(f"/api/v1/tasks/status/{task}")).json()
    wrapped = (await site.get(f"/api/v2/task/status/{task}")).json()
    assert wrapped["success"] is True
    assert wrapped["data"].keys() == flat.keys()


async def test_the_task_of_another_account_is_not_found(sites):
    task = await create(sites("alice"))
    reply = await sites("bob").get(f"/api/v1/tasks/status/{task}")
    assert (reply.status_code, reply.headers["x-actual-status-code"]) == (200, "404")
    assert reply.json()["data"] == {"code": "Not_Found", "details": "Task not found"}


async def test_the_chat_still_names_the_task(site):
    chat = await site.new_chat()
    reply = (await site.ask(chat, "waves", kind="t2v")).json()["data"]
    messages = (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["chat"]["history"]["messages"]
    assert messages[reply["message_id"]]["extra"] == reply["messages"][0]["extra"]


@pytest.mark.parametrize("ratio", ["1:1", "3:4", "4:3", "16:9", "9:16"])
async def test_a_picture_has_exactly_the_pixels_that_were_told(site, read, ratio):
    payloads = read.frames(await site.ask(await site.new_chat(), "hills", kind="t2i", size=ratio))
    url = read.deltas(payloads)[0]["content"]
    picture = Image.open(io.BytesIO((await site.http.get(url)).content))
    usage = payloads[-1]["usage"]
    assert picture.format == "PNG"
    assert picture.size == (usage["width"], usage["height"])
    assert picture.text["prompt"] == "hills"
    assert abs(picture.width / picture.height - eval(ratio.replace(":", "/"))) < 0.05


async def test_the_same_prompt_again_gives_another_picture(site, read):
    urls = [await picture_url(site, read) for _ in range(2)]
    one, other = [(await site.http.get(url)).content for url in urls]
    assert one != other


async def test_media_need_their_key_and_no_token(site, read):
    url = await picture_url(site, read)
    assert (await site.http.get(url)).status_code == 200
    assert (await site.http.get(url[:-1])).status_code == 403
    assert (await site.http.get(url.split("?")[0])).status_code == 403
    assert (await site.http.get(url.replace("/t2i/", "/t2v/"))).status_code == 403


@pytest.mark.parametrize(
    ("wanted", "status", "length"),
    [
        ("bytes=0-3", 206, 4),
        ("bytes=-5", 206, 5),
        ("bytes=8-", 206, None),
        ("bytes=999999999-", 416, 0),
        ("x", 200, None),
    ],
)
async def test_ranges(site, read, wanted, status, length):
    url = await picture_url(site, read)
    whole = (await site.http.get(url)).content
    reply = await site.http.get(url, headers={"range": wanted})
    assert reply.status_code == status
    if length is not None:
        assert len(reply.content) == length
    if status == 206:
        start, end = reply.headers["content-range"].removeprefix("bytes ").split("/")[0].split("-")
        assert reply.content == whole[int(start) : int(end) + 1]


async def test_head_tells_the_length_and_sends_nothing(site, read):
    url = await picture_url(site, read)
    reply = await site.http.head(url)
    assert int(reply.headers["content-length"]) == len((await site.http.get(url)).content)
    assert reply.content == b""


async def test_painting_does_not_hold_up_the_loop(site, read):
    url = await picture_url(site, read, size="16:9")
    painting = asyncio.create_task(site.http.get(url))
    await asyncio.sleep(0)
    answered = 0
    while not painting.done():
        await site.get("/api/models")
        answered += 1
    assert answered >= 3


async def test_callers_at_the_same_time_share_one_painting(site, read):
    url = await picture_url(site, read)
    replies = await asyncio.gather(*(site.http.get(url) for _ in range(4)))
    assert len({reply.content for reply in replies}) == 1
