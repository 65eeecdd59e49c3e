import pytest

from gateway.dialects.base import Call, FormPart
from gateway.dialects.uploads import read_upload
from gateway.generation.errors import InvalidRequest
from tests.dialects.cases import FILES


def upload(name: str = "a.txt", **fields: str) -> Call:
    file = FormPart("file", b"bytes", name, "text/plain")
    return Call(route=FILES.routes[0], parts=(file, *(FormPart(k, v.encode()) for k, v in fields.items())))


def test_a_file_comes_with_its_purpose_and_its_end():
    call = upload(
        purpose="vision", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    )
    found = read_upload(call)
    assert (found.name, found.data, found.media_type) == ("a.txt", b"bytes", "text/plain")
    assert (found.purpose, found.expires_after) == ("vision", 3600)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my file.png", "my file.png"),
        ("отчёт 图.pdf", "отчёт 图.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("..", "file"),
        ("", "file"),
        ("a/", "file"),
        ("a\x00\r\nb", "ab"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
    ],
)
def test_a_name_is_the_last_step_of_a_path(sent: str, kept: str):
    assert read_upload(upload(sent)).name == kept


def test_a_form_without_a_file_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        read_upload(Call(route=FILES.routes[0], parts=(FormPart("file", b"text"),)))
    assert caught.value.param == "file"


@pytest.mark.parametrize("seconds", ["0", "soon", "99999999999"])
def test_an_end_that_makes_no_sense_is_refused(seconds: str):
    with pytest.raises(InvalidRequest) as caught:
        read_upload(upload(**{"expires_after[seconds]": seconds}))
    assert caught.value.param == "expires_after.seconds"
