"""Runs before operators: the list and its filters, and the page of each."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.database.tables import Run
from service.kit.clock import now
from service.store.runs import EMPTY_RECONCILE
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies


def add(place: Place, company: str, kind: str = "reconcile", **fields: Any) -> int:
    """Add a run that has ended; return its id."""
    tally = {**EMPTY_RECONCILE, **fields.pop("tally", {})}
    given = {"cause": "daily", "state": "done", "created_at": now(), "finished_at": now()}
    with place.services.database.write() as session:
        run = Run(connection_id=company, kind=kind, tally=tally, **{**given, **fields})
        session.add(run)
        session.flush()
        return run.id


def shown(page: str) -> list[int]:
    """Return the runs that a page lists."""
    return [int(number) for number in re.findall(r'href="/ops/runs/(\d+)"', page)]


@pytest.mark.both_databases("it lists and counts through their indexes")
def test_runs_are_listed_by_kind_state_and_company(place: Place, browser: TestClient) -> None:
    assert "No run yet" in browser.get("/ops/runs").text
    add_companies(place, ["One", "Two"])
    add_companies(place, ["Elsewhere"], environment="production", prefix="p")
    add(place, "p0")
    imported = add(place, "c0", "backfill")
    red = add(place, "c0", error="1 invoice differs")
    active = add(place, "c1", state="active", finished_at=None)
    stopped = add(place, "c0", state="active", finished_at=None, halted_at=now(), error="many")
    found = {
        query: shown(browser.get(f"/ops/runs{query}").text)
        for query in (
            *("", "?kind=backfill", "?state=failed", "?state=active", "?state=stopped"),
            *("?state=done", "?company=c1", "?kind=odd&state=odd", f"?before={active}"),
        )
    }
    assert found == {
        "": [stopped, active, red, imported],
        "?kind=backfill": [imported],
        "?state=failed": [red],
        "?state=active": [active],
        "?state=stopped": [stopped],
        "?state=done": [imported],
        "?company=c1": [active],
        "?kind=odd&state=odd": [stopped, active, red, imported],
        f"?before={active}": [red, imported],
    }
    assert "No such run" in browser.get("/ops/runs?kind=withdrawal").text
    assert browser.get("/ops/runs?company=p0").status_code == 404


def test_a_page_follows_the_last_one(place: Place, browser: TestClient) -> None:
    add_companies(place, ["One"])
    ids = [add(place, "c0") for _ in range(53)]
    page = browser.get("/ops/runs?kind=reconcile").text
    assert shown(page) == ids[:2:-1]
    following = re.findall(r'<a href="([^"]*)">Older</a>', page)[0].replace("&amp;", "&")
    assert following == f"/ops/runs?kind=reconcile&before={ids[3]}"
    assert shown(browser.get(following).text) == ids[2::-1]


def test_a_red_reconcile_wears_no_green(place: Place, company: str, browser: TestClient) -> None:
    left = {"id": "5", "number": "105", "kind": "outdated", "there": "2", "here": "1"}
    run_id = add(
        place,
        company,
        error="1 invoice differs from QuickBooks: 105",
        tally={"read": 320, "unchanged": 319, "differences": [left]},
        expected=320,
    )
    for address in (f"/ops/runs/{run_id}", f"/ops/connections/{company}", "/ops/runs?state=failed"):
        page = browser.get(address).text
        assert '<span class="tag bad">Differs</span>' in page, address
    page = browser.get(f"/ops/runs/{run_id}").text
    assert "tag good" not in page
    words = said(page)
    assert "Read 320 of 320 Unchanged 319" in words
    assert "105 Outdated in QuickBooks 2 1" in words
    assert "hx-get" not in page  # it has ended


def test_an_open_page_follows_its_run(place: Place, company: str, browser: TestClient) -> None:
    browser.post(f"/ops/connections/{company}/backfill")
    run_id = place.only("SELECT max(id) FROM runs")
    page = browser.get(f"/ops/runs/{run_id}").text
    address = re.findall(r'hx-get="([^"]*)"', page)[0]
    assert "<progress" in page
    assert browser.get(address).status_code == 204
    from workers.runs.run import advance

    while advance(place.services, run_id):
        pass
    ended = browser.get(address)
    assert ended.status_code == 200
    assert '<span class="tag good">Done</span>' in ended.text
    assert "hx-get" not in ended.text


def test_a_failure_names_its_invoice_and_its_error(
    place: Place, company: str, browser: TestClient
) -> None:
    failure = {"id": "9", "error": "Unmappable", "message": "QuickBooks sent <no> total"}
    run_id = add(place, company, "backfill", error="1 failed", tally={"failures": [failure]})
    words = said(browser.get(f"/ops/runs/{run_id}").text)
    assert "Id 9 QuickBooks sent <no> total Unmappable" in words
    assert f"Backfill {run_id} of" in words
    assert "Incomplete" in words
