"""The signature check against a vector that two independent implementations agree on."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_sandbox.signing import SignatureError, StorageKeys, Upload, sign_v1, sign_v4, verify

KEYS = StorageKeys("STS.EXAMPLEAK", "EXAMPLESECRET", "EXAMPLETOKEN")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
NAME = "user-1/file-1_кот a.png"
V4_SIGNATURE = "6d9cdf231ccc800c3fdd2b00f053941b124ccab7c8ad5aa46b319adf383ebf1e"
V1_SIGNATURE = "HVIyJCtaAstDf4AoysOzXhkmNe4="
CREDENTIAL = "STS.EXAMPLEAK/20260102/ap-southeast-1/oss/aliyun_v4_request"


def v4(signature=V4_SIGNATURE, **more):
    headers = {
        "content-type": "image/png",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": "20260102T030405Z",
        "x-oss-security-token": "EXAMPLETOKEN",
        "authorization": f"OSS4-HMAC-SHA256 Credential={CREDENTIAL},Signature={signature}",
        "user-agent": "not signed",
    }
    return Upload(NAME, {**headers, **more})


def v1(signature=V1_SIGNATURE, **more):
    headers = {
        "content-type": "image/png",
        "date": "Fri, 02 Jan 2026 03:04:05 GMT",
        "x-oss-security-token": "EXAMPLETOKEN",
        "authorization": f"OSS STS.EXAMPLEAK:{signature}",
    }
    return Upload(NAME, {**headers, **more})


def test_the_published_vectors():
    assert sign_v4(v4(), KEYS) == V4_SIGNATURE
    assert sign_v1(v1(), KEYS) == V1_SIGNATURE
    verify(v4(), KEYS, NOW)
    verify(v1(), KEYS, NOW)


@pytest.mark.parametrize("sign", [v4, v1])
@pytest.mark.parametrize("skew", [-901, 901])
def test_a_wrong_clock_is_refused(sign, skew):
    verify(sign(), KEYS, NOW + skew * 0.99)
    with pytest.raises(SignatureError) as caught:
        verify(sign(), KEYS, NOW + skew)
    assert caught.value.code == "RequestTimeTooSkewed"


@given(at=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_one_wrong_digit_is_refused(at, digit):
    spoiled = V4_SIGNATURE[:at] + digit + V4_SIGNATURE[at + 1 :]
    if spoiled == V4_SIGNATURE:
        verify(v4(spoiled), KEYS, NOW)
    else:
        with pytest.raises(SignatureError, match="does not match"):
            verify(v4(spoiled), KEYS, NOW)


@given(st.text(min_size=1).filter(lambda text: text != NAME))
def test_a_signature_is_good_for_one_object_only(name):
    for upload in (v4(), v1()):
        with pytest.raises(SignatureError, match="does not match"):
            verify(msgspec.structs.replace(upload, key=name), KEYS, NOW)


@given(st.text())
def test_no_authorization_header_crashes_the_check(text):
    with pytest.raises(SignatureError):
        verify(v4(authorization=text), KEYS, NOW)


def test_an_additional_header_is_signed_too():
    upload = v4(host="example.com")
    signature = sign_v4(upload, KEYS, "host")
    more = f"OSS4-HMAC-SHA256 Credential={CREDENTIAL},AdditionalHeaders=host,Signature={signature}"
    signed = Upload(NAME, {**upload.headers, "authorization": more})
    verify(signed, KEYS, NOW)
    with pytest.raises(SignatureError, match="does not match"):
        verify(Upload(NAME, {**signed.headers, "host": "example.org"}), KEYS, NOW)


def test_a_query_an_odd_scope_and_a_signed_payload_are_refused():
    with pytest.raises(SignatureError, match="without its query"):
        verify(msgspec.structs.replace(v4(), query="a=1"), KEYS, NOW)
    odd = v4().headers["authorization"].replace("20260102", "20260103")
    with pytest.raises(SignatureError, match="scope"):
        verify(v4(authorization=odd), KEYS, NOW)
    with pytest.raises(SignatureError, match="UNSIGNED-PAYLOAD"):
        verify(v4(**{"x-oss-content-sha256": "0" * 64}), KEYS, NOW)
