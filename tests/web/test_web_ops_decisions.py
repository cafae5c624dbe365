"""What an operator decides about a run that has stopped, because it would withdraw so much."""

import re

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.store import halts, runs
from service.store.tables import AuditEntry, Run
from service.times import now
from tests.web.conftest import Place, said
from tests.web.ops import audit, entry, operator, told_in

WHY = "it would withdraw 6 of the company's 6 undecided invoices: <1>, 2, 3"


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {"OPS_USERS": entry("ada")}


@pytest.fixture
def run_id(place: Place, company: str) -> int:
    """A reconcile that has stopped."""
    with place.services.database.write() as session:
        order = {"full": True, "fix": True}
        found = runs.begin_reconcile(session, company, "command", order, now())
    halt(place, found)
    return found


@pytest.fixture
def browser(place: Place) -> TestClient:
    return operator(place)


def halt(place: Place, run_id: int) -> None:
    with place.services.database.write() as session:
        assert halts.halt(session, session.get_one(Run, run_id), WHY, now())


def run_of(place: Place, run_id: int) -> Run:
    with place.services.database.read() as session:
        return session.get_one(Run, run_id)


def seen_in(page: str) -> str:
    (seen,) = set(re.findall(r'name="seen" value="([^"]+)"', page))
    return seen


def decided(browser: TestClient, run_id: int, order: str, seen: str | None = None) -> str:
    """Decide about the run as its page shows it; return what the company's page then says."""
    seen = seen or seen_in(browser.get(f"/ops/runs/{run_id}").text)
    answer = browser.post(f"/ops/runs/{run_id}/{order}", data={"seen": seen})
    assert answer.status_code == 303
    return told_in(browser.get(answer.headers["location"]).text)


def test_the_page_of_the_company_leads_to_the_decision_and_that_says_what_it_means(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    page = browser.get(f"/ops/connections/{company}").text
    assert f'href="/ops/runs/{run_id}"' in page
    asked = browser.get(f"/ops/runs/{run_id}").text
    assert "Withdraw that many invoices of Our <b>Books</b>?" in said(asked)
    assert WHY in said(asked)
    assert "&lt;1&gt;" in asked
    assert "The next reconcile looks again in a day." in said(asked)
    unsure = asked.split("<h2>")[3]
    assert said(unsure).startswith("You are not sure The run waits for as long as nobody decides;")
    assert "<form" not in unsure
    assert f'href="/ops/connections/{company}">Leave it as it is</a>' in unsure
    assert halts.waits(run_of(place, run_id))
    assert audit(place)[1:] == []


def test_a_run_that_waits_stands_before_those_that_are_under_way_and_those_that_ended(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    def order(page: str) -> list[str]:
        return re.findall(r'<h2 id="run-[0-9]+">(\w+)', page)

    address = f"/ops/connections/{company}"
    page = browser.get(address).text
    assert order(page) == ["Reconcile", "Backfill"]
    facts, first, _ = page.split('<section class="card" aria-labelledby="')[1:4]
    assert f'<a href="/ops/runs/{run_id}">' in facts
    assert 'id="stopped"' in facts
    assert "<progress" not in first
    assert " read" not in said(first)
    browser.post(f"{address}/backfill")
    page = browser.get(address).text
    assert order(page) == ["Reconcile", "Backfill"]
    assert page.count("<progress") == 1
    decided(browser, run_id, "drop")
    page = browser.get(address).text
    assert order(page) == ["Backfill", "Reconcile"]
    assert 'id="stopped"' not in page


def test_a_run_that_is_confirmed_goes_on_and_is_never_stopped_again(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    assert decided(browser, run_id, "confirm").startswith("Confirmed: the run goes on within")
    run = run_of(place, run_id)
    assert (run.state, run.confirmed, run.halted_at) == ("active", True, None)
    assert audit(place)[1:] == [("ops:ada", "confirm", company)]
    with place.services.database.read() as session:
        newest = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert newest is not None
    assert newest.details == {"run": run_id, "kind": "reconcile"}
    assert f"/ops/runs/{run_id}" not in browser.get(f"/ops/connections/{company}").text


def test_a_run_that_is_dropped_ends(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    assert decided(browser, run_id, "drop") == "Ended: the run withdraws nothing more."
    run = run_of(place, run_id)
    assert (run.state, run.confirmed) == ("failed", False)
    assert audit(place)[1:] == [("ops:ada", "drop", company)]


def test_what_is_confirmed_for_a_paused_company_waits_for_it(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    browser.post(f"/ops/connections/{company}/pause")
    browser.get(f"/ops/connections/{company}")
    told = decided(browser, run_id, "confirm")
    assert told == "Confirmed: the run goes on once the company is connected and not paused."


@pytest.mark.parametrize("order", ["confirm", "drop"])
def test_a_decision_is_about_what_was_seen(
    place: Place, company: str, run_id: int, browser: TestClient, order: str
) -> None:
    seen = seen_in(browser.get(f"/ops/runs/{run_id}").text)
    halt(place, run_id)  # once more, for something else
    assert decided(browser, run_id, order, seen).startswith("Nothing was decided")
    assert halts.waits(run_of(place, run_id))
    for nothing in ("", "x"):
        browser.post(f"/ops/runs/{run_id}/{order}", data={"seen": nothing})
        assert halts.waits(run_of(place, run_id))
    assert audit(place)[1:] == []


@pytest.mark.parametrize("order", ["confirm", "drop"])
def test_nothing_is_decided_twice(
    place: Place, company: str, run_id: int, browser: TestClient, order: str
) -> None:
    seen = seen_in(browser.get(f"/ops/runs/{run_id}").text)
    decided(browser, run_id, "drop", seen)
    assert decided(browser, run_id, order, seen).startswith("Nothing was decided")
    answer = browser.get(f"/ops/runs/{run_id}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ops/connections/{company}")
    assert audit(place)[1:] == [("ops:ada", "drop", company)]


def test_a_run_of_another_environment_is_as_unknown_as_one_that_is_not_there(
    place: Place, run_id: int, browser: TestClient
) -> None:
    place.do("UPDATE connections SET environment = 'production'")
    for unknown in (str(run_id), "4711", "0", "-1", "x", "9" * 30):
        assert browser.get(f"/ops/runs/{unknown}").status_code == 404
        for order in ("confirm", "drop"):
            assert browser.post(f"/ops/runs/{unknown}/{order}").status_code == 404
    assert halts.waits(run_of(place, run_id))
    assert audit(place)[1:] == []
