"""The published algorithm, checked with a vector that another implementation agrees on."""

from datetime import UTC, datetime, timedelta, timezone

from gateway_qwen_chat.signing import StorageKeys, sign_put

KEYS = StorageKeys("STS.EXAMPLEAK", "EXAMPLESECRET", "EXAMPLETOKEN", "ap-southeast-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNATURE = "6d9cdf231ccc800c3fdd2b00f053941b124ccab7c8ad5aa46b319adf383ebf1e"


def test_the_headers_of_a_put() -> None:
    assert sign_put("qwen-webui-prod", "user-1/file-1_кот a.png", "image/png", KEYS, NOW) == {
        "content-type": "image/png",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": "20260102T030405Z",
        "x-oss-security-token": "EXAMPLETOKEN",
        "authorization": "OSS4-HMAC-SHA256 Credential=STS.EXAMPLEAK/20260102/ap-southeast-1/oss/"
        f"aliyun_v4_request,Signature={SIGNATURE}",
    }


def test_the_time_is_said_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=9)))
    assert sign_put("b", "k", "x/y", KEYS, local) == sign_put("b", "k", "x/y", KEYS, NOW)
