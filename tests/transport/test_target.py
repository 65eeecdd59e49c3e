"""URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.errors import InvalidRequest
from gateway.transport.target import split_url


@pytest.mark.parametrize(
    ("url", "origin", "authority", "path"),
    [
        ("http://a", "http://a:80", b"a", b"/"),
        ("https://A.b:443/x", "https://a.b:443", b"a.b", b"/x"),
        ("HTTP://a:8080?q=1", "http://a:8080", b"a:8080", b"/?q=1"),
        ("https://[::1]:444/x?y#z", "https://[::1]:444", b"[::1]:444", b"/x?y"),
        ("http://a//b/../c?d?e", "http://a:80", b"a", b"//b/../c?d?e"),
        ("http://a/@b:c", "http://a:80", b"a", b"/@b:c"),
    ],
)
def test_a_url_is_split(url, origin, authority, path):
    target = split_url(url)
    assert (target.origin, target.authority, target.path) == (origin, authority, path)
    assert target.secure is origin.startswith("https")


def test_an_ipv6_address_loses_its_brackets_only_where_it_is_dialled():
    target = split_url("http://[2001:DB8::1]:81/")
    assert (target.host, target.port, target.endpoint) == ("2001:db8::1", 81, "[2001:db8::1]:81")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/path",
        "//host/path",
        "ftp://a/",
        "http:///x",
        "http://user@a/",
        "http://user:pw@a/",
        "http://a\\@b/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:x/",
        "http://a:/",
        "http://[::1/",
        "http://[zz]/",
        "http://[1:2]/",
        "http://a/b c",
        "http://a/\r\nX: y",
        "http://a/\n",
        "http://a\n",
        "http://a/\tb",
        "http://a/ä",
        "http://ä/",
        " http://a/",
    ],
)
def test_what_is_no_plain_url_is_refused_without_repeating_it(url):
    with pytest.raises(InvalidRequest) as caught:
        split_url(url)
    assert not caught.value.sent
    assert "pw" not in str(caught.value)


@given(st.text())
def test_no_url_ever_brings_a_line_break_or_a_space_to_the_wire(text):
    try:
        target = split_url("http://a/" + text)
    except InvalidRequest:
        return
    assert all(0x21 <= byte <= 0x7E for byte in target.path + target.authority)
