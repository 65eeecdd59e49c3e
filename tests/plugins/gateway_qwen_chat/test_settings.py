"""What can be configured, and what cannot."""

import msgspec
import pytest

from gateway_qwen_chat import QwenChatSettings


@pytest.mark.parametrize("url", ["https://chat.qwen.ai/", "chat.qwen.ai", "ftp://x.test", "https://", ""])
def test_a_base_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="base_url"):
        msgspec.convert({"base_url": url}, QwenChatSettings)


@pytest.mark.parametrize("name", ["Cookie", "authorization", "Host"])
def test_headers_cannot_carry_an_account(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({"headers": {name: "x"}}, QwenChatSettings)


@pytest.mark.parametrize(
    ("base_url", "url", "private"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/a.png", True),
        ("http://localhost:9", "http://localhost:9/a.png?key=k", True),
        ("http://[::1]:9", "http://[::1]:9/a.png", True),
        ("http://10.1.2.3", "http://10.1.2.3/a.png", True),
        ("http://127.0.0.1:9", "http://127.0.0.1:8/a.png", False),
        ("http://127.0.0.1:9", "https://127.0.0.1:9/a.png", False),
        ("http://127.0.0.1:9", "https://cdn.example.test/a.png", False),
        ("https://chat.qwen.ai", "https://chat.qwen.ai/a.png", False),
        ("https://8.8.8.8", "https://8.8.8.8/a.png", False),
    ],
)
def test_only_our_own_origin_on_a_private_address_is_private(base_url: str, url: str, private: bool) -> None:
    assert QwenChatSettings(base_url=base_url).is_private(url) is private
