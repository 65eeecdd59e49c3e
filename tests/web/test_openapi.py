"""The description is of exactly what is served, and readable without anything from elsewhere."""

import re

import pytest

from gateway.dialects.base import Dialect
from gateway.plugin_api.registry import Registry
from gateway.web.openapi import build_document
from gateway.web.openapi_page import render_page
from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def dialects() -> tuple[Dialect, ...]:
    return Registry().dialects()


async def test_every_description_is_served(client, dialects):
    for path, methods in build_document(dialects)["paths"].items():
        for method in methods:
            answer = await client.request(method, re.sub("{[a-z_]+}", "x", path))
            assert answer.status_code != 405, (method, path)
            assert answer.status_code != 404 or "unknown path" not in answer.text, (method, path)


async def test_every_address_is_described(tmp_path, dialects):
    async with serving_gateway(settings_in(tmp_path)) as served:
        app = served.gateway.app
        while not hasattr(app, "routes"):
            app = getattr(app, "app", None) or app._app
        served_paths = {re.sub(r":[a-z]+}", "}", route.path) for route in app.routes}
        assert served_paths == build_document(dialects)["paths"].keys()


async def test_the_document_and_the_page_are_served(client):
    document = await client.get("/openapi.json")
    assert document.headers["content-type"] == "application/json"
    assert document.json()["openapi"] == "3.1.0"
    page = await client.get("/openapi")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text.endswith("</html>\n")


def test_the_page_names_every_address_and_loads_nothing(dialects):
    document = build_document(dialects)
    page = render_page(document).decode()
    assert all(f"<code>{path}</code>" in page for path in document["paths"])
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_the_page_is_safe_whatever_the_document_says(dialects):
    document = build_document(dialects)
    document["info"]["title"] = document["info"]["description"] = "<img src=x onerror=alert(1)>"
    next(iter(document["paths"].values())).popitem()[1]["summary"] = "<b>"
    assert "<img" not in render_page(document).decode()


def test_every_reference_in_the_document_leads_somewhere(dialects):
    document = build_document(dialects)
    known = document["components"]["schemas"]
    text = repr(document)
    assert set(re.findall(r"#/components/schemas/([^']+)", text)) <= known.keys()


def test_operation_ids_are_unique(dialects):
    ids = [
        operation["operationId"]
        for methods in build_document(dialects)["paths"].values()
        for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))
