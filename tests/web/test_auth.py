"""Keys: where they come from, who they are, and that nothing but the right one passes."""

import gc
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import AuthSettings, ConfigError, KeyDigest, KeySettings, digest_of
from gateway.generation.errors import Forbidden, NotFound, Unauthorized
from gateway.web.auth import ANONYMOUS, ClientKey, KeyRing, new_key

ALICE = KeySettings(name="alice", key=KeyDigest("sk-alice"))
BOB = KeySettings(name="bob", key_sha256=hashlib.sha256(b"sk-bob").hexdigest(), admin=True)


def ring(*keys: KeySettings, allow_anonymous: bool = False) -> KeyRing:
    return KeyRing(AuthSettings(keys=keys, allow_anonymous=allow_anonymous))


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + key.encode()}


def test_a_key_is_found_by_its_value_or_its_digest() -> None:
    keys = ring(ALICE, BOB)
    assert keys.identify(bearer("sk-alice")).name == "alice"
    assert keys.identify({b"x-api-key": b"sk-bob"}).name == "bob"
    assert keys.identify({b"authorization": b"bEaReR  sk-alice "}).name == "alice"
    assert keys.identify(bearer("sk-bob")).admin
    assert not keys.identify(bearer("sk-alice")).admin


def test_a_key_file_is_read_and_what_surrounds_the_key_is_not_part_of_it(tmp_path) -> None:
    file = tmp_path / "key"
    file.write_text("  sk-file\n")
    assert ring(KeySettings(name="f", key_file=str(file))).identify(bearer("sk-file")).name == "f"


@pytest.mark.parametrize("key", ["ключ-é", "voilà", "…"])
def test_a_key_beyond_ascii_is_compared_by_its_bytes(key: str) -> None:
    assert ring(KeySettings(name="u", key=KeyDigest(key))).identify(bearer(key)).name == "u"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", None])
def test_a_key_file_that_is_empty_broken_or_missing_is_an_error(tmp_path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="of f"):
        ring(KeySettings(name="f", key_file=str(file)))


@pytest.mark.parametrize("digest", ["zz", "abcd", "00" * 31, "00" * 33])
def test_a_digest_that_no_key_can_have_is_an_error(digest: str) -> None:
    with pytest.raises(ConfigError, match="SHA-256"):
        ring(KeySettings(name="d", key_sha256=digest))


def test_one_key_cannot_be_two_owners() -> None:
    with pytest.raises(ConfigError, match="alice and carol"):
        ring(ALICE, KeySettings(name="carol", key=KeyDigest("sk-alice")))


@pytest.mark.parametrize("name", ["", "anonymous", "a b", "a/b", "ä", "-a", "a" * 65, "a\n", "{a}"])
def test_names_that_cannot_be_owners_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name an owner"):
        ring(KeySettings(name=name, key=KeyDigest("sk")))


@pytest.mark.parametrize("limit", [{"rpm": 0}, {"rpm": -1}, {"concurrency": 0}])
def test_limits_that_nobody_could_keep_are_refused(limit: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ring(KeySettings(name="a", key=KeyDigest("sk"), **limit))


def test_without_keys_everybody_is_anonymous_whatever_they_send() -> None:
    keys = ring()
    assert keys.open
    assert keys.identify({}) is keys.identify(bearer("anything")) is ANONYMOUS


def test_anonymous_callers_are_let_in_by_a_setting_only_and_never_with_a_wrong_key() -> None:
    keys = ring(ALICE, allow_anonymous=True)
    assert not keys.open
    assert (keys.identify({}).name, keys.identify({}).admin) == ("anonymous", False)
    for sent in ({}, {b"authorization": b"Basic x"}, {b"authorization": b"Bearer"}):
        with pytest.raises(Unauthorized):
            ring(ALICE).identify(sent)
    with pytest.raises(Unauthorized):
        keys.identify(bearer("wrong"))


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=255), min_size=1))
def test_no_other_text_is_a_key(text: str) -> None:
    keys = ring(ALICE, BOB)
    if text not in ("sk-alice", "sk-bob"):
        with pytest.raises(Unauthorized):
            keys.identify(bearer(text))


def test_a_revoked_key_is_refused_and_its_name_can_get_a_new_one() -> None:
    keys = ring(ALICE, BOB)
    keys.refuse([keys.find("alice")])
    with pytest.raises(Unauthorized):
        keys.identify(bearer("sk-alice"))
    assert keys.identify(bearer("sk-bob")).name == "bob"
    assert [(view.key.name, view.revoked) for view in keys.list()] == [("alice", True), ("bob", False)]
    keys.load(AuthSettings(keys=(KeySettings(name="alice", key=KeyDigest("sk-new")), BOB)))
    assert keys.identify(bearer("sk-new")).name == "alice"
    keys.load(AuthSettings(keys=(ALICE, BOB)))
    with pytest.raises(Unauthorized):
        keys.identify(bearer("sk-alice"))
    keys.refuse([])
    assert keys.identify(bearer("sk-alice")).name == "alice"


def test_revoking_every_key_opens_nothing() -> None:
    keys = ring(ALICE)
    keys.refuse([digest_of("sk-alice")])
    assert not keys.open
    for sent in ({}, bearer("sk-alice")):
        with pytest.raises(Unauthorized):
            keys.identify(sent)


def test_a_broken_configuration_leaves_the_keys_as_they_were() -> None:
    keys = ring(ALICE)
    with pytest.raises(ConfigError):
        keys.load(AuthSettings(keys=(KeySettings(name="a b", key=KeyDigest("sk")),)))
    assert keys.identify(bearer("sk-alice")).name == "alice"


def test_a_name_that_is_not_configured_is_not_found() -> None:
    with pytest.raises(NotFound):
        ring(ALICE).find("bob")


def test_a_ring_keeps_digests_only() -> None:
    keys = ring(KeySettings(name="c", key=KeyDigest("sk-canary-in-memory")))
    seen, queue = set(), [keys]
    while queue:
        thing = queue.pop()
        if id(thing) not in seen and not isinstance(thing, type):
            seen.add(id(thing))
            assert thing not in ("sk-canary-in-memory", b"sk-canary-in-memory")
            queue += gc.get_referents(thing) if not callable(thing) else []
    assert len(seen) > 5


def test_new_keys_are_long_and_never_the_same() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(len(key) > 40 and key.startswith("sk-") for key in made)


def test_rights() -> None:
    key = ClientKey(name="a", chat_types=frozenset({"t2t"}), models=frozenset({"m"}))
    key.check("t2t", "m")
    for chat_type, model in (("t2i", "m"), ("t2t", "n")):
        with pytest.raises(Forbidden):
            key.check(chat_type, model)
    ClientKey(name="a").check("t2v", "anything")
    assert not key.limited
    assert ClientKey(name="a", rpm=1).limited
    assert ClientKey(name="a", concurrency=1).limited
