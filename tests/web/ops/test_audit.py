"""The audit before operators: who did what, when."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.kit.clock import now
from service.store import audit
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies


def add(place: Place, actor: str, action: str, company: str | None = None, **details: Any) -> None:
    with place.services.database.write() as session:
        audit.record(session, actor, action, company, details, now())


def done(page: str) -> list[str]:
    """Return what each row says was done."""
    return re.findall(r'data-label="What">([^<]*)</th>', page)


@pytest.mark.both_databases("it lists and names actors through their indexes")
def test_entries_are_found_by_who_what_and_company(place: Place, browser: TestClient) -> None:
    add_companies(place, ["One", "Two"])
    add(place, "cli:root", "pause", "c0")
    add(place, "ops:bob", "replay", "c1", events=1200, event=1234, supplier=1234, run=None)
    add(place, "cli:root", "skip event", None, feed_event="e-1")
    add(place, "cli:root", "odd", "gone", notices=3)
    page = browser.get("/ops/audit").text
    assert done(page) == [
        "Odd",
        "Skipped a refused event",
        "Retried webhook events",
        "Paused",
        "Logged in",
    ]
    assert re.findall(r'<option value="([^"]*)"', page) == [
        *("", "cli:root", "ops:ada", "ops:bob"),
        *("", "login", "odd", "pause", "replay", "skip event"),
    ]
    assert "cli:root feed event e-1" in said(page)
    assert 'event <a href="/ops/events/1234">1234</a>' in page
    assert 'supplier <a href="/ops/connections?supplier=1234">1234</a>' in page
    assert "gone events 3" in said(page)
    assert "events 1,200 · " not in said(page)  # the dot is drawn
    assert "ops:bob Two events 1,200 event 1234 supplier 1234" in said(page)
    found = {
        query: done(browser.get(f"/ops/audit?{query}").text)
        for query in (
            *("who=cli%3Aroot", "what=replay", "company=c0", "who=cli%3Aroot&what=pause"),
            *("who=nobody", "before=2"),
        )
    }
    assert found == {
        "who=cli%3Aroot": ["Odd", "Skipped a refused event", "Paused"],
        "what=replay": ["Retried webhook events"],
        "company=c0": ["Paused"],
        "who=cli%3Aroot&what=pause": ["Paused"],
        "who=nobody": [],
        "before=2": ["Logged in"],
    }
    assert "Nothing fits" in browser.get("/ops/audit?who=nobody").text
    assert 'value="cli:root" selected' in browser.get("/ops/audit?who=cli:root").text


def test_a_page_keeps_its_filters(place: Place, browser: TestClient) -> None:
    for _ in range(52):
        add(place, "cli:root", "sync")
    add(place, "ops:bob", "sync")
    page = browser.get("/ops/audit?who=cli%3Aroot").text
    assert len(done(page)) == 50
    following = re.findall(r'<a href="([^"]*)">Older</a>', page)[0].replace("&amp;", "&")
    assert following == "/ops/audit?who=cli%3Aroot&before=4"
    assert len(done(browser.get(following).text)) == 2
