"""What an operator decides about a run that has stopped because it would withdraw many invoices."""

import re

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.database.tables import AuditEntry, Run
from service.kit.clock import now
from service.store import approvals, runs
from tests.web.conftest import Place, said
from tests.web.ops.operators import audited, flash_in

WHY = "it would withdraw 6 of the company's 6 undecided invoices"
NAMED = "<1>, 2, 3"


@pytest.fixture
def run_id(place: Place, company: str) -> int:
    """A reconcile that has stopped."""
    with place.services.database.write() as session:
        order = {"full": True, "fix": True}
        found = runs.begin_reconcile(session, company, "command", order, now())
    stop(place, found)
    return found


def stop(place: Place, run_id: int, reasons: dict[str, str] | None = None) -> None:
    with place.services.database.write() as session:
        assert approvals.await_approval(
            session, session.get_one(Run, run_id), WHY, NAMED, reasons or {}, now()
        )


def test_the_list_of_companies_leads_to_what_has_stopped(run_id: int, browser: TestClient) -> None:
    listed = browser.get("/ops/connections").text
    assert f'<a class="tag warn" href="/ops/runs/{run_id}">Reconcile stopped</a>' in listed


def test_the_page_asks_what_it_offers_answers_to(run_id: int, browser: TestClient) -> None:
    page = said(browser.get(f"/ops/runs/{run_id}").text)
    assert "Are these invoices paid, void or deleted?" in page
    assert "They are paid, void or deleted" in page
    assert "They are not paid, void or deleted" in page


def test_withdrawals_by_notices_are_decided_as_they_were_seen(
    place: Place, company: str, browser: TestClient
) -> None:
    """What joins them meanwhile has to be looked at, too."""

    def withhold(*ids: str) -> Run:
        with place.services.database.write() as session:
            approvals.withhold(session, company, ids, WHY, NAMED, {}, now())
            run = approvals.waiting_withdrawal(session, company)
        assert run is not None
        return run

    run_id = withhold("1", "2").id
    page = said(browser.get(f"/ops/connections/{company}").text)
    assert f"Withdrawal {run_id} has stopped because it would withdraw many invoices" in page
    assert "Until then webhook events withdraw nothing of the company." in page
    asked = browser.get(f"/ops/runs/{run_id}").text
    assert "still processed, but what they would withdraw waits with it." in said(asked)
    assert withhold("3").id == run_id
    decided(browser, run_id, "confirm", seen_in(asked))
    assert approvals.is_waiting(run_of(place, run_id))
    decided(browser, run_id, "confirm")
    run = run_of(place, run_id)
    assert (run.confirmed, run.cursor) == (True, {"invoices": ["1", "2", "3"]})
    assert audited(place)[1:] == [("ops:ada", "confirm", company)]


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
    return flash_in(browser.get(answer.headers["location"]).text)


def test_the_page_of_the_company_leads_to_the_decision_and_that_says_what_it_means(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    page = browser.get(f"/ops/connections/{company}").text
    assert f'href="/ops/runs/{run_id}"' in page
    asked = browser.get(f"/ops/runs/{run_id}").text
    assert "Withdraw that many invoices of Our <b>Books</b>?" in said(asked)
    assert WHY in said(asked)
    assert "&lt;1&gt;" in asked
    assert "The next reconcile checks again in a day." in said(asked)
    unsure = asked.split("<h2>")[3]
    assert said(unsure).startswith("You are not sure The run waits. Webhook")
    assert "<form" not in unsure
    assert f'href="/ops/connections/{company}">Cancel</a>' in unsure
    assert approvals.is_waiting(run_of(place, run_id))
    assert audited(place)[1:] == []


def test_a_run_that_waits_stands_before_those_that_are_under_way_and_those_that_ended(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    def order(page: str) -> list[str]:
        return re.findall(r'<h2 id="run-[0-9]+"><a href="[^"]*">(\w+)', page)

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
    assert decided(browser, run_id, "confirm").startswith("Confirmed. The run continues without")
    run = run_of(place, run_id)
    assert (run.state, run.confirmed, run.halted_at) == ("active", True, None)
    assert audited(place)[1:] == [("ops:ada", "confirm", company)]
    with place.services.database.read() as session:
        newest = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert newest is not None
    assert newest.details == {"run": run_id, "kind": "reconcile"}
    assert "Decide" not in browser.get(f"/ops/connections/{company}").text


def test_a_rejected_run_ends(place: Place, company: str, run_id: int, browser: TestClient) -> None:
    assert decided(browser, run_id, "drop") == "Ended. The run withdraws nothing more."
    run = run_of(place, run_id)
    assert (run.state, run.confirmed) == ("failed", False)
    assert audited(place)[1:] == [("ops:ada", "drop", company)]


def test_what_is_confirmed_for_a_paused_company_waits_for_it(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    browser.post(f"/ops/connections/{company}/pause")
    browser.get(f"/ops/connections/{company}")
    told = decided(browser, run_id, "confirm")
    assert told == "Confirmed. The run continues once the company is connected and not paused."


@pytest.mark.parametrize("order", ["confirm", "drop"])
def test_a_decision_is_about_what_was_seen(
    place: Place, company: str, run_id: int, browser: TestClient, order: str
) -> None:
    seen = seen_in(browser.get(f"/ops/runs/{run_id}").text)
    stop(place, run_id)  # once more, for something else
    assert decided(browser, run_id, order, seen).startswith("Nothing was decided")
    assert approvals.is_waiting(run_of(place, run_id))
    for nothing in ("", "x"):
        browser.post(f"/ops/runs/{run_id}/{order}", data={"seen": nothing})
        assert approvals.is_waiting(run_of(place, run_id))
    assert audited(place)[1:] == []


@pytest.mark.parametrize("order", ["confirm", "drop"])
def test_nothing_is_decided_twice(
    place: Place, company: str, run_id: int, browser: TestClient, order: str
) -> None:
    seen = seen_in(browser.get(f"/ops/runs/{run_id}").text)
    decided(browser, run_id, "drop", seen)
    assert decided(browser, run_id, order, seen).startswith("Nothing was decided")
    assert "Ended by an operator" in browser.get(f"/ops/runs/{run_id}").text
    assert audited(place)[1:] == [("ops:ada", "drop", company)]


def test_a_run_of_another_environment_is_as_unknown_as_one_that_is_not_there(
    place: Place, run_id: int, browser: TestClient
) -> None:
    place.do("UPDATE connections SET environment = 'production'")
    for unknown in (str(run_id), "4711", "0", "-1", "x", "9" * 30):
        assert browser.get(f"/ops/runs/{unknown}").status_code == 404
        for order in ("confirm", "drop"):
            assert browser.post(f"/ops/runs/{unknown}/{order}").status_code == 404
    assert approvals.is_waiting(run_of(place, run_id))
    assert audited(place)[1:] == []


def test_what_it_would_withdraw_is_named_with_reasons_and_amounts(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        approvals.await_approval(
            session,
            session.get_one(Run, run_id),
            WHY,
            NAMED,
            {place.invoice_id("1"): "paid"},
            now(),
        )
    page = said(browser.get(f"/ops/runs/{run_id}").text)
    assert "What it would withdraw Invoice Buyer Amount In QuickBooks now Here" in page
    assert "101 Buyer Seven 100.00 USD Paid offered" in page
    assert "That is as far as it has read; there may be more." in page
    assert "withdrawn meanwhile" not in page
    place.do("UPDATE invoices SET hold = 'paid'")
    page = said(browser.get(f"/ops/runs/{run_id}").text)
    assert "101 Buyer Seven 100.00 USD Paid withdrawn meanwhile" in page
    assert "All of them have been withdrawn meanwhile, because webhook events reported them" in page


def test_of_very_many_only_so_many_are_shown(
    place: Place, run_id: int, browser: TestClient
) -> None:
    copy = (
        "INSERT INTO invoices SELECT {columns} FROM invoices, (WITH RECURSIVE n(n) AS (SELECT 1"
        " UNION ALL SELECT n + 1 FROM n WHERE n < 250) SELECT n FROM n) WHERE quickbooks_id = '1'"
    )
    with place.services.database.engine.connect() as connection:
        names = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(invoices)")]
    made = {"id": "'copy-' || n", "quickbooks_id": "'c' || n"}
    place.do(copy.format(columns=", ".join(made.get(name, name) for name in names)))
    reasons = {f"copy-{n}": "void" for n in range(1, 251)}
    with place.services.database.write() as session:
        approvals.await_approval(session, session.get_one(Run, run_id), WHY, NAMED, reasons, now())
    page = browser.get(f"/ops/runs/{run_id}").text
    assert page.count('<tr role="row">') == 201
    assert "And 50 more." in said(page)


def test_while_it_waits_nobody_can_go_around_it_with_a_sync(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    address = f"/ops/connections/{company}"
    page = browser.get(address).text
    assert "order-sync" not in page
    assert "Until then, you cannot sync" in said(page)
    assert place.only("SELECT count(*) FROM notices WHERE status = 'pending'") == 0
    answer = browser.post(f"{address}/sync")
    assert flash_in(browser.get(answer.headers["location"]).text).startswith("Nothing was started")
    assert place.only("SELECT count(*) FROM notices WHERE status = 'pending'") == 0
    decided(browser, run_id, "drop")
    assert "order-sync" in browser.get(address).text


def test_one_that_an_operator_has_ended_is_no_failure(
    place: Place, company: str, run_id: int, browser: TestClient
) -> None:
    decided(browser, run_id, "drop")
    assert "reconcile.red" not in browser.get("/ops/").text
    page = browser.get(f"/ops/connections/{company}").text
    assert '<span class="tag plain">Ended</span>' in page
    assert "Failed" not in page
    assert page.count('class="note bad"') == 1  # the one that is hidden
    assert said(page).count("an operator ended it, because it would withdraw 6") == 1
