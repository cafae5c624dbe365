"""The guide on the operators' pages."""

import re

import pytest
from starlette.testclient import TestClient

from service.guide.chapters import PURPOSES
from tests.web.conftest import Place, said


def test_every_chapter_opens_and_leads_to_the_others(place: Place, browser: TestClient) -> None:
    contents = browser.get("/ops/guide").text
    assert re.findall(r'<li><a href="/ops/guide/([a-z]+)"', contents) == list(PURPOSES)
    addresses = set()
    for name in PURPOSES:
        page = browser.get(f"/ops/guide/{name}")
        assert (page.status_code, page.text.count("<h1>")) == (200, 1)
        addresses |= set(re.findall(r'href="(/ops/guide[^"#]*)', page.text))
    assert addresses == {"/ops/guide", *(f"/ops/guide/{name}" for name in PURPOSES)}


def test_an_alarm_leads_to_its_paragraph(place: Place, company: str, browser: TestClient) -> None:
    place.do("UPDATE connections SET state = 'disconnected', problem = 'invalid_grant'")
    link = '/ops/guide/operating#connection.dead">What to do'
    assert link in browser.get("/ops/").text
    page = browser.get("/ops/guide/operating").text
    assert '<code id="connection.dead">connection.dead</code>' in page
    assert "QuickBooks refused the refresh token" in said(page)


@pytest.mark.parametrize("name", ["nothing", "operating.md", "__init__"])
def test_there_is_no_other_chapter(place: Place, browser: TestClient, name: str) -> None:
    assert browser.get(f"/ops/guide/{name}").status_code == 404
