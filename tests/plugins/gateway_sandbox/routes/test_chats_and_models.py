"""Chats as objects, the model list, token checks, the back door."""

import pytest

pytestmark = pytest.mark.anyio


async def test_chats_are_listed_newest_first_except_local_ones(site):
    first, second = await site.new_chat(title="one"), await site.new_chat(title="two")
    await site.new_chat(chat_mode="local")
    listed = (await site.get("/api/v2/chats/?page=1")).json()["data"]
    assert [chat["id"] for chat in listed] == [second, first]
    assert (await site.get("/api/v2/chats/?page=2")).json()["data"] == []


async def test_a_deleted_chat_is_gone(site):
    chat = await site.new_chat()
    url = f"{site.base}/api/v2/chats/{chat}"
    assert (await site.http.delete(url, headers=site.headers)).json()["success"]
    for reply in (await site.get(f"/api/v2/chats/{chat}"), await site.ask(chat, "hi")):
        assert reply.headers["x-actual-status-code"] == "404"
        assert reply.json()["data"]["details"] == f"Chat {chat} is not exist"


async def test_a_chat_of_another_account_is_like_none(sites):
    chat = await sites("alice").new_chat()
    bob = sites("bob")
    seen = await bob.get(f"/api/v2/chats/{chat}")
    assert seen.json()["data"]["details"] == f"Chat {chat} is not exist"
    assert (await bob.ask(chat, "hi")).json()["data"]["code"] == "Not_Found"


async def test_a_chat_keeps_what_was_said(site, read):
    chat = await site.new_chat()
    created = read.frames(await site.ask(chat, "echo kept"))[0]["response.created"]
    whole = (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["chat"]
    answer = whole["history"]["messages"][created["response_id"]]
    assert (answer["content"], answer["done"], answer["parentId"]) == ("kept", True, created["parent_id"])
    assert whole["messages"][0]["childrenIds"] == [created["response_id"]]


async def test_a_lost_picture_is_found_in_its_chat(site, read):
    chat = await site.new_chat()
    payloads = read.frames(await site.ask(chat, "a sea", kind="t2i"))
    messages = (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["chat"]["messages"]
    assert messages[-1]["content"] == read.deltas(payloads)[0]["content"]


async def test_models_tell_what_they_can_make(site):
    flat = (await site.http.get(f"{site.base}/api/models")).json()["data"]
    wrapped = (await site.get("/api/v2/models/")).json()["data"]["data"]
    assert flat == wrapped
    by_id = {model["id"]: model["info"]["meta"] for model in flat}
    assert {"qwen-max-latest", "qwen3-max", "qwen3-vl-plus", "qwen3-coder-plus"} <= by_id.keys()
    assert "t2v" in by_id["qwen3-max"]["chat_type"]
    assert "t2i" not in by_id["qwen3-coder-plus"]["chat_type"]
    assert by_id["qwen3-vl-plus"]["capabilities"]["vision"] is True


async def test_a_token_is_checked(sites):
    alice, bob = sites("alice"), sites("bob")
    one = (await alice.get("/api/v1/auths/")).json()["id"]
    assert one == (await alice.get("/api/v2/user/info")).json()["data"]["id"]
    assert one != (await bob.get("/api/v1/auths/")).json()["id"]
    nobody = await alice.http.get(f"{alice.base}/api/v1/auths/")
    assert (nobody.status_code, nobody.headers["x-actual-status-code"]) == (200, "401")


async def test_only_listed_tokens_are_accounts(serve):
    async with serve(tokens=("alice",)) as make:
        assert (await make("alice").get("/api/v1/auths")).json().get("id")
        assert (await make("bob").get("/api/v1/auths")).json()["data"]["code"] == "Unauthorized"


async def test_a_site_that_wants_the_cookie_refuses_a_bearer(serve):
    async with serve(carrier="cookie") as make:
        site = make("alice")
        assert (await site.get("/api/v1/auths")).json()["data"]["code"] == "Unauthorized"
        site.headers = {"cookie": "token=alice"}
        assert (await site.get("/api/v1/auths")).json()["id"]


async def test_the_journal_says_who_asked_for_what(sites, read):
    alice = sites("alice")
    chat = await alice.new_chat()
    await alice.ask(chat, "echo hi")
    await sites("bob").get("/api/v2/task/status/some-task")
    entries = (await alice.get("/__sandbox__/journal")).json()
    assert [entry["endpoint"] for entry in entries] == ["chats.new", "completions", "task"]
    assert (entries[1]["chat_id"], entries[1]["chat_type"]) == (chat, "t2t")
    assert entries[2]["task_id"] == "some-task"
    assert entries[0]["account"] == entries[1]["account"] != entries[2]["account"]
    assert entries[0]["carriers"] == ["bearer"]
    counters = (await alice.get("/__sandbox__/counters")).json()
    assert counters["endpoint"] == {"chats.new": 1, "completions": 1, "task": 1}


async def test_the_journal_holds_no_token(sites):
    site = sites("very-secret-token")
    site.headers["cookie"] = "token=very-secret-token; other=kept"
    await site.new_chat()
    text = (await site.get("/__sandbox__/journal")).text
    assert "very-secret-token" not in text
    assert '"other":"kept"' in text


async def test_a_cookie_names_the_account_and_comes_back(sites):
    alice, bob = sites("alice"), sites("bob")
    cookie = (await alice.get("/api/v2/chats")).headers["set-cookie"]
    bob.headers["cookie"] = cookie.split(";")[0]
    await bob.get("/api/v2/chats")
    first, last = (await bob.get("/__sandbox__/journal")).json()
    assert last["cookies"]["acw_tc"] == first["account"] != last["account"]


async def test_every_accepted_task_is_listed(site):
    reply = await site.ask(await site.new_chat(), "waves", kind="t2v")
    task = reply.json()["data"]["messages"][0]["extra"]["wanx"]["task_id"]
    assert [(entry["id"], entry["prompt"]) for entry in (await site.get("/__sandbox__/tasks")).json()] == [
        (task, "waves")
    ]


async def test_a_reset_forgets_all(site):
    chat = await site.new_chat()
    await site.fault("server_error", times=0)
    await site.post("/__sandbox__/reset", {})
    assert (await site.get("/__sandbox__/journal")).json() == []
    assert (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["code"] == "Not_Found"


async def test_a_quota_for_one_account(sites):
    alice, bob = sites("alice"), sites("bob")
    body = {"token": "alice", "chat_type": "t2t", "per_day": 0}
    await alice.http.put(f"{alice.base}/__sandbox__/quotas", json=body)
    assert (await alice.ask(await alice.new_chat(), "hi")).json()["data"]["code"] == "RateLimited"
    assert await bob.say("echo hi") == "hi"


@pytest.mark.parametrize("path", ["/", "/nope", "/api/v2/chats/a/b", "/output/x", "/a/b", "/../etc/passwd"])
async def test_unknown_paths_are_not_found(site, path):
    assert (await site.get(path)).status_code in (403, 404)
