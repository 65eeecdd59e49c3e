"""Tasks, models, files and chats over HTTP, as a careless or hostile client uses them."""

import pytest

pytestmark = pytest.mark.anyio


async def upload(client, name: str = "a.txt", data: bytes = b"abc", **fields: str):
    return await client.post("/v1/files", files={"file": (name, data, "text/plain")}, data=fields)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a b.txt", "a b.txt"),
        ("写真.png", "写真.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
    ],
)
async def test_a_file_is_kept_unchanged_under_its_own_name(client, name, kept):
    made = (await upload(client, name, b"\x00\xff" * 1000)).json()
    assert (made["filename"], made["bytes"], made["purpose"]) == (kept, 2000, "assistants")
    content = await client.get(f"/v1/files/{made['id']}/content")
    assert content.content == b"\x00\xff" * 1000
    assert content.headers["content-disposition"] == "attachment"
    assert content.headers["x-content-type-options"] == "nosniff"


async def test_a_page_that_was_uploaded_never_runs_as_one(client):
    made = (await upload(client, "x.html", b"<script>alert(1)</script>")).json()
    content = await client.get(f"/v1/files/{made['id']}/content")
    assert content.headers["content-disposition"] == "attachment"


async def test_a_file_says_when_it_goes(client):
    fields = {"purpose": "user_data", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = (await upload(client, **fields)).json()
    assert made["purpose"] == "user_data"
    assert made["expires_at"] - made["created_at"] == 3600
    assert (await upload(client)).json()["expires_at"] is None


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "9" * 30])
async def test_a_bad_lifetime_is_refused(client, seconds):
    assert (await upload(client, **{"expires_after[seconds]": seconds})).status_code == 400


async def test_a_form_without_a_file_is_refused(client):
    for parts in ({"file": (None, b"text")}, {"other": ("a.txt", b"text")}):
        answer = await client.post("/v1/files", files=parts)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


async def test_a_file_over_the_limit_is_refused(client):
    answer = await upload(client, data=b"x" * (25 * 2**20 + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_pieces_of_a_file(client):
    made = (await upload(client, data=b"0123456789")).json()
    path = f"/v1/files/{made['id']}/content"
    for wanted, status, body in [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=1-2,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ]:
        answer = await client.get(path, headers={"range": wanted})
        assert (answer.status_code, answer.content) == (status, body), wanted
    behind = await client.get(path, headers={"range": "bytes=10-"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, "bytes */10")
    assert behind.json()["error"]["code"] == "range_not_satisfiable"


async def test_a_file_can_be_deleted_once(client):
    made = (await upload(client)).json()
    path = f"/v1/files/{made['id']}"
    assert (await client.delete(path)).json() == {"id": made["id"], "object": "file", "deleted": True}
    assert (await client.delete(path)).status_code == 404
    assert (await client.get(path)).status_code == 404
    assert (await client.get(path + "/content")).status_code == 404


async def test_a_list_of_files_ends(client):
    made = [(await upload(client)).json()["id"] for _ in range(3)]
    seen, after = [], None
    for _ in range(200):
        query = {"limit": "2", "order": "asc"} | ({"after": after} if after else {})
        page = (await client.get("/v1/files", params=query)).json()
        seen += [file["id"] for file in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert [one for one in seen if one in made] == made
    assert len(seen) == len(set(seen))


async def test_a_film_and_a_picture_are_both_tasks_but_only_one_is_a_video(client):
    film = (await client.post("/v1/videos", json={"prompt": "waves"}, timeout=30)).json()["id"]
    body = {"message": "a cat", "chatType": "t2i", "async": True}
    picture = (await client.post("/api/chat", json=body, timeout=30)).json()["task_id"]
    videos = {video["id"] for video in (await client.get("/v1/videos")).json()["data"]}
    tasks = {task["task_id"] for task in (await client.get("/api/tasks")).json()["data"]}
    assert film in videos
    assert picture not in videos
    assert {film, picture} <= tasks


async def test_a_list_of_tasks_can_be_filtered(client):
    for status in ("pending", "processing", "completed", "failed"):
        tasks = (await client.get("/api/tasks", params={"status": status})).json()["data"]
        assert all(task["status"] == status for task in tasks)


async def test_a_chat_begun_beforehand_is_gone_on_with(client):
    made = (await client.post("/api/chats", json={"name": "Trip", "chatType": "t2i"})).json()
    answer = await client.post("/api/chat", json={"message": "a cat", "chatId": made["chatId"]}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["chatId"] == made["chatId"]
    assert answer.json()["images"], "the chat's own chatType was forgotten"


async def test_models_are_found_by_id_and_nothing_else(client):
    listed = (await client.get("/v1/models")).json()["data"]
    for model in listed:
        assert (await client.get(f"/v1/models/{model['id']}")).json() == model
    for name in ("nobody", "a%2Fb", "%00", "..%2f..", "%F0%9F%98%80"):
        answer = await client.get(f"/v1/models/{name}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
