"""Companies before operators: which there are, how each stands, and what is ordered about it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from service.database.tables import AuditEntry, Connection, Notice, Run
from service.kit.clock import now
from service.store import connection_lifecycle, runs
from tests.web.conftest import OTHER, OURS, Place, said
from tests.web.ops.operators import add_companies, audited, flash_in, live_address


def change(place: Place, connection_id: str, **values: Any) -> None:
    with place.services.database.write() as session:
        session.execute(update(Connection).where(Connection.id == connection_id).values(**values))


def ordered(browser: TestClient, connection_id: str, order: str, **form: str) -> str:
    """Give an order, and return what the page then says about it."""
    answer = browser.post(f"/ops/connections/{connection_id}/{order}", data=form)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"/ops/connections/{connection_id}"
    return flash_in(browser.get(answer.headers["location"]).text)


def found(browser: TestClient, text: str) -> tuple[str, str]:
    """Search; return (the address of what was found, what it says)."""
    answer = browser.post("/ops/connections", data={"q": text})
    assert answer.status_code == 303
    return answer.headers["location"], said(browser.get(answer.headers["location"]).text)


def test_without_a_company_the_page_says_what_to_do(browser: TestClient) -> None:
    page = browser.get("/ops/connections").text
    assert "No company is connected yet" in page
    assert '<a href="/ops/invite">Invite a supplier</a>' in page


def test_a_company_shows_its_supplier_state_tokens_and_last_reconcile(
    place: Place, company: str, browser: TestClient
) -> None:
    at = now()
    change(place, company, refresh_expires_at=at, hard_expires_at=at + timedelta(days=1800))
    with place.services.database.write() as session:
        session.add(
            Run(
                connection_id=company,
                kind="reconcile",
                cause="daily",
                state="done",
                tally={**runs.EMPTY_RECONCILE, "fixed": [{"id": "1"}]},
                created_at=at,
                finished_at=at,
            )
        )
        session.add(
            Notice(connection_id=company, format="own", received_at=at, status="done", reason="x")
        )
    assert "none yet" in said(browser.get("/ops/connections").text)  # QuickBooks said nothing
    with place.services.database.write() as session:
        session.add(
            Notice(
                connection_id=company, format="legacy", received_at=at, status="done", reason="x"
            )
        )
    page = browser.get("/ops/connections").text
    row = said(page.split("<tbody")[1])
    assert "Our <b>Books</b> Example Supplies supplier@example.com Connected" in row
    assert "Agrees, 1 fixed" in row
    assert "none yet" not in row
    assert f'href="/ops/connections/{company}"' in page


def test_what_failed_for_good_is_told_of_its_company_and_leads_to_it(
    place: Place, company: str, browser: TestClient
) -> None:
    add_companies(place, ["Another"])
    with place.services.database.write() as session:
        for owner, number in ((company, "1"), (company, "2"), ("c0", "3")):
            session.add(
                Notice(
                    connection_id=owner,
                    format="legacy",
                    entity="Invoice",
                    entity_id=number,
                    received_at=now(),
                    handled_at=now(),
                    status="failed",
                )
            )
    leads = f"/ops/events?status=failed&amp;q={company}"
    listed = browser.get("/ops/connections").text
    assert f'<a class="tag warn" href="{leads}">2 failed</a>' in listed
    page = browser.get(f"/ops/connections/{company}").text
    assert f'<a id="failed" href="{leads}">2 failed</a>' in page
    there = said(browser.get(leads.replace("&amp;", "&")).text)
    assert ("Invoice 101" in there, "Invoice 2" in there, "Invoice 3" in there) == (
        *(True, True, False),
    )
    place.do("UPDATE notices SET status = 'done'")
    page = browser.get(f"/ops/connections/{company}").text
    assert "none failed" in page
    assert "2 failed" not in browser.get("/ops/connections").text


def test_the_tokens_of_an_ended_connection_are_no_news(
    place: Place, company: str, browser: TestClient
) -> None:
    ends = now() + timedelta(days=1800)
    change(place, company, refresh_expires_at=ends, hard_expires_at=ends)
    assert ">authorisation " in browser.get("/ops/connections").text
    change(place, company, state="disconnected", problem="invalid_grant")
    page = browser.get("/ops/connections").text
    assert "no token in use" in page
    assert ">authorisation " not in page


def test_a_run_that_waits_to_be_tried_again_says_so_and_an_order_does_not_wait(
    place: Place, company: str, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        run_id = runs.create_or_join(session, company, "connect", None, now())
        runs.postpone(session, run_id, now() + timedelta(hours=1), "90 % of the reads are used")
    page = said(browser.get(f"/ops/connections/{company}").text)
    assert "Waiting" in page
    assert "90 % of the reads are used" in page
    assert "tried again" in page
    assert ordered(browser, company, "backfill").startswith("Backfill started")
    assert place.only(f"SELECT due_at FROM runs WHERE id = {run_id}") is None
    assert "Under way" in said(browser.get(f"/ops/connections/{company}").text)


def test_a_reconcile_that_left_what_cannot_be_shown_says_what_to_do(
    place: Place, company: str, browser: TestClient
) -> None:
    left = {"id": "7", "number": "107", "kind": "unreadable", "there": "", "here": ""}
    with place.services.database.write() as session:
        session.add(
            Run(
                connection_id=company,
                kind="reconcile",
                cause="daily",
                state="done",
                error="QuickBooks cannot show 1 invoice: 107 (Id 7)",
                tally={**runs.EMPTY_RECONCILE, "read": 69, "differences": [left]},
                created_at=now(),
                finished_at=now(),
            )
        )
    page = said(browser.get(f"/ops/connections/{company}").text)
    assert (
        "QuickBooks cannot show 1 invoice: 107 (Id 7) Ask the supplier to open and save this"
        " invoice in QuickBooks, or contact Intuit's support with the intuit_tid of the failed"
        " event."
    ) in page


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"failures": 0}, "Connected"),
        ({"suspended_at": now()}, "Paused"),
        ({"state": "disconnected", "problem": "invalid_grant"}, "Ended by QuickBooks"),
        ({"state": "disconnected"}, "Disconnected"),
        ({"state": "disconnected", "released_at": now()}, "Released"),
        ({"paused_until": now() + timedelta(hours=1), "failures": 2}, "Waiting for QuickBooks"),
        ({"barred_since": now() - timedelta(hours=1), "failures": 2}, "Not let in"),
        ({"hard_expires_at": now() + timedelta(days=29)}, "Ends soon"),
    ],
)
def test_the_state_is_told_in_words(
    place: Place, company: str, browser: TestClient, values: dict[str, Any], words: str
) -> None:
    change(place, company, **values)
    row = browser.get("/ops/connections").text.split("<tbody")[1]
    assert f">{words}</span>" in row


def test_companies_are_listed_by_name_fifty_a_page_and_none_twice(
    place: Place, browser: TestClient
) -> None:
    names = [f"{'co' if n % 2 else 'Co'} {n % 60:03}" for n in range(120)]
    add_companies(place, names)
    pages, address = [], "/ops/connections"
    while address:
        page = browser.get(address).text
        pages.append(page.count('<th role="rowheader"'))
        address = "/ops/connections?" + page.split('">Next page')[0].rpartition("connections?")[2]
        shown = page.split("<tbody")[1].split("</tbody>")[0]
        seen = [part.split('"')[0] for part in shown.split('href="/ops/connections/')[1:]]
        pages[-1] = (pages[-1], seen)
        if "Next page" not in page:
            break
    assert '<a href="/ops/connections">First page</a>' in page
    assert [count for count, _ in pages] == [50, 50, 20]
    everyone = [one for _, seen in pages for one in seen]
    assert len(set(everyone)) == 120
    assert everyone[:4] == ["c0", "c60", "c1", "c61"]


def test_a_company_of_another_environment_is_not_there(place: Place, browser: TestClient) -> None:
    add_companies(place, ["Elsewhere"], environment="production")
    assert "No company is connected yet" in said(browser.get("/ops/connections").text)
    assert browser.get("/ops/connections/c0").status_code == 404
    assert browser.post("/ops/connections/c0/pause").status_code == 404
    assert audited(place) == [("ops:ada", "login", None)]


def test_a_search_finds_by_company_supplier_address_and_realm_id(
    place: Place, company: str, browser: TestClient
) -> None:
    add_companies(place, ["Another 100% Company"])
    for text in ("books", "BOOKS", "example supp"):
        address, page = found(browser, text)
        assert "Our <b>Books</b>" in page
        assert "Another" not in page
        assert address.startswith("/ops/connections?q=")
    assert "Another 100% Company" in found(browser, "100%")[1]
    assert "No company matches" in found(browser, "1_0%")[1]
    address, page = found(browser, "SUPPLIER@example.com")
    assert "Our <b>Books</b>" in page
    assert "Another" not in page
    assert "@" not in address
    assert "%40" not in address
    for spelling in (OURS, f"00{OURS}", f" {OURS} "):
        assert found(browser, spelling)[0] == f"/ops/connections/{company}"
    assert found(browser, OTHER) == ("/ops/connections?supplier=0", found(browser, OTHER)[1])
    assert "No company matches" in found(browser, OTHER)[1]
    assert "No company matches" in found(browser, "nobody@example.com")[1]


@pytest.mark.parametrize("state", ["connected", "paused", "dead", "disconnected", "released"])
def test_one_can_look_at_the_companies_of_one_state(
    place: Place, browser: TestClient, state: str
) -> None:
    add_companies(place, ["connected", "paused", "dead", "disconnected", "released"])
    change(place, "c1", suspended_at=now())
    change(place, "c2", state="disconnected", problem="invalid_grant")
    change(place, "c3", state="disconnected")
    change(place, "c4", state="disconnected", released_at=now())
    page = browser.get(f"/ops/connections?state={state}").text.split("<tbody")[1]
    assert page.count('<th role="rowheader"') == 1
    assert f">{state}</a>" in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("paused", "No company is paused"),
        ("dead", "No company was ended by QuickBooks"),
        ("disconnected", "No company is disconnected"),
        ("released", "No company is released"),
    ],
)
def test_an_empty_list_speaks_of_a_search_only_where_there_was_one(
    place: Place, browser: TestClient, state: str, words: str
) -> None:
    add_companies(place, ["Connected"])
    page = said(browser.get(f"/ops/connections?state={state}").text)
    assert words in page
    assert "No company matches" not in page
    for query in ("q=nothing", "supplier=0"):
        assert "No company matches" in said(
            browser.get(f"/ops/connections?state={state}&{query}").text
        )
    assert "No more companies" in said(browser.get("/ops/connections?after=c0").text)
    assert "Connected" in said(browser.get("/ops/connections?state=odd").text)


def test_pausing_and_resuming_are_done_once_and_in_the_operators_name(
    place: Place, company: str, browser: TestClient
) -> None:
    assert ordered(browser, company, "pause").startswith("Paused. This company makes no calls")
    assert place.connections()[0].suspended_at is not None
    assert ordered(browser, company, "pause") == "It was already paused."
    assert ordered(browser, company, "sync").startswith("Nothing was done")
    assert ordered(browser, company, "backfill").startswith("Nothing was done")
    assert ordered(browser, company, "reconcile").startswith("Nothing was done")
    assert ordered(browser, company, "resume").startswith("Resumed")
    assert place.connections()[0].suspended_at is None
    assert ordered(browser, company, "resume") == "It was not paused."
    assert audited(place)[1:] == [("ops:ada", "pause", company), ("ops:ada", "resume", company)]


def test_a_sync_asks_for_what_changed(place: Place, company: str, browser: TestClient) -> None:
    assert ordered(browser, company, "sync").startswith("Sync started")
    asked = place.only("SELECT operation FROM notices WHERE status = 'pending' AND format = 'own'")
    assert asked == "sync"
    assert audited(place)[1:] == [("ops:ada", "sync", company)]


def test_a_backfill_is_begun_once_and_its_progress_shown_by_itself(
    place: Place, company: str, browser: TestClient
) -> None:
    assert ordered(browser, company, "backfill").startswith("Backfill started.")
    ordered(browser, company, "backfill")
    run_id = place.only("SELECT id FROM runs WHERE state = 'active'")
    page = browser.get(f"/ops/connections/{company}").text
    assert "<progress" in page
    assert "0 read" in said(page)
    address = page.split('hx-get="')[1].split('"')[0]
    assert browser.get(address).status_code == 204
    place.do(
        f"UPDATE runs SET expected = 4, tally = replace(tally, '\"read\":0', '\"read\":3')"
        f" WHERE id = {run_id}"
    )
    changed = browser.get(address)
    assert changed.status_code == 200
    assert '<progress max="4" value="3"' in changed.text
    assert "3 of 4 read" in said(changed.text)
    assert audited(place)[1:] == [("ops:ada", "backfill", company)] * 2


@pytest.mark.parametrize(("form", "fix"), [({}, False), ({"fix": "yes"}, True)])
def test_a_reconcile_fixes_only_when_asked_to(
    place: Place, company: str, browser: TestClient, form: dict[str, str], fix: bool
) -> None:
    assert ordered(browser, company, "reconcile", **form).startswith("Reconcile started.")
    with place.services.database.read() as session:
        run = runs.latest(session, company, "reconcile")
    assert run is not None
    assert run.cursor == {"full": True, "fix": fix}
    assert audited(place)[1:] == [("ops:ada", "reconcile", company)]


def test_a_reconcile_overrules_what_looks_newer_when_asked_to(
    place: Place, company: str, browser: TestClient
) -> None:
    assert 'name="overrule"' in browser.get(f"/ops/connections/{company}").text
    ordered(browser, company, "reconcile", overrule="yes")
    with place.services.database.read() as session:
        run = runs.latest(session, company, "reconcile")
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "reconcile"))
    assert run is not None
    assert run.cursor == {"full": True, "fix": True, "overrule": True}
    assert entry.details == {"run": run.id, "fix": True, "overrule": True}


def test_disconnecting_asks_first_and_says_what_stays(
    place: Place, company: str, browser: TestClient
) -> None:
    page = said(browser.get(f"/ops/connections/{company}/disconnect").text)
    assert "Disconnect Our <b>Books</b>?" in page
    assert "What stays Its invoices, here and in Infactor, as they are now" in page
    assert place.connections()[0].state == "connected"
    assert ordered(browser, company, "release") == (
        "Nothing was changed. Disconnect the company first."
    )
    assert ordered(browser, company, "disconnect").startswith("Disconnected. Its tokens were given")
    assert not place.is_granted()
    assert place.connections()[0].refresh_sealed is None
    assert ordered(browser, company, "disconnect") == "It was already disconnected."
    page = said(browser.get(f"/ops/connections/{company}/release").text)
    assert "Invoices that nobody has decided about go with the company." in page
    assert "What happens to its invoices" in page
    assert ordered(browser, company, "release").startswith("Released")
    assert audited(place)[1:] == [
        ("ops:ada", "disconnect", company),
        ("ops:ada", "release", company),
    ]


def test_what_cannot_be_ordered_now_is_not_asked_about_but_explained(
    place: Place, company: str, browser: TestClient
) -> None:
    address = f"/ops/connections/{company}"

    def asked(order: str) -> tuple[str, bool]:
        page = browser.get(f"{address}/{order}").text
        return said(page), f'<form method="post" action="{address}/{order}"' in page

    words, is_asked = asked("release")
    assert "It is connected, and while it is, nobody else can have it: disconnect it first" in words
    assert "Any supplier can then connect the company." in words
    assert f'href="{address}/disconnect"' in browser.get(f"{address}/release").text
    assert not is_asked
    assert asked("disconnect")[1]
    ordered(browser, company, "disconnect")
    words, is_asked = asked("disconnect")
    assert "It is disconnected already" in words
    assert not is_asked
    assert asked("release")[1]
    ordered(browser, company, "release")
    words, is_asked = asked("release")
    assert "Already released. Any supplier can connect it." in words
    assert not is_asked


def test_an_open_page_offers_what_can_be_ordered_now(
    place: Place, company: str, browser: TestClient
) -> None:
    address = f"/ops/connections/{company}"
    there = browser.get(address).text
    assert '<div id="orders">' in there
    change(place, company, last_synced_at=now())
    answer = browser.get(live_address(there)).text
    assert 'id="live"' in answer
    assert 'id="orders"' not in answer  # the same: what somebody ticks there stays ticked
    change(
        place,
        company,
        state="disconnected",
        problem="invalid_grant",
        **connection_lifecycle.NO_TOKENS,
    )
    answer = browser.get(live_address(answer)).text
    assert '<div id="orders" hx-swap-oob="innerHTML">' in answer
    assert "Release …" in said(answer)
    assert "Sync now" not in said(answer)
    assert browser.get(live_address(answer)).status_code == 204
    assert browser.get(f"{address}/live?orders=odd").status_code == 200


def test_what_quickbooks_does_not_confirm_is_left_unless_forced(
    place: Place, company: str, browser: TestClient
) -> None:
    place.sim("POST", "/faults", {"kind": "revoke", "status": 503, "count": None})
    assert ordered(browser, company, "disconnect").startswith("Left as it is")
    assert place.connections()[0].state == "connected"
    assert audited(place)[1:] == [("ops:ada", "disconnect failed", company)]
    told = ordered(browser, company, "disconnect", force="yes")
    assert told.startswith("Disconnected here, but QuickBooks has not confirmed")
    assert place.connections()[0].state == "disconnected"


WAITS = {
    "paused_until": now() + timedelta(hours=1),
    "failures": 3,
    "barred_since": now() - timedelta(hours=2),
    "problem": "QuickBooks does not let this app into the company (HTTP 403, code 3100)",
}


def test_a_company_that_waits_is_tried_again_at_once_on_request(
    place: Place, company: str, browser: TestClient
) -> None:
    address = f"/ops/connections/{company}"
    assert "Try again now" not in browser.get(address).text
    change(place, company, **WAITS)
    page = said(browser.get(address).text)
    assert "Not let in QuickBooks does not let this app into the company" in page
    assert "Try again now" in page
    assert ordered(browser, company, "retry").startswith("Retrying now")
    [connection] = place.connections()
    assert (connection.paused_until, connection.failures) == (None, 0)
    assert audited(place)[1:] == [("ops:ada", "retry", company)]
    change(place, company, **WAITS, suspended_at=now())
    assert "Try again now" not in browser.get(address).text
    assert ordered(browser, company, "retry").startswith("Nothing was done")
    assert place.connections()[0].paused_until is not None


def test_a_failing_run_is_tried_again_at_once_on_request(
    place: Place, company: str, browser: TestClient
) -> None:
    with place.services.database.write() as session:
        run_id = runs.create_or_join(session, company, "command", None, now())
        due_at = now() + timedelta(hours=1)
        runs.postpone(session, run_id, due_at, "no", error_class="Refused", failing=now())
    assert "Try again now" in browser.get(f"/ops/connections/{company}").text
    ordered(browser, company, "retry")
    with place.services.database.read() as session:
        run = runs.get(session, run_id)
    assert run is not None
    assert run.due_at is None


def test_the_last_token_of_a_dead_connection_is_tried_on_request(
    place: Place, company: str, browser: TestClient
) -> None:
    change(place, company, state="disconnected", problem="invalid_grant", disconnected_at=now())
    assert "whether it accepts the last token" in browser.get(f"/ops/connections/{company}").text
    place.sim("POST", "/faults", [{"preset": "invalid_grant", "count": 1}])
    assert ordered(browser, company, "retry").startswith("QuickBooks does not accept the last")
    place.sim("POST", "/faults", [{"kind": "token", "status": 503, "count": 1}])
    assert ordered(browser, company, "retry").startswith("Nothing was changed. QuickBooks did not")
    assert ordered(browser, company, "retry").startswith("Retrying now")
    assert place.connections()[0].state == "connected"
    ordered(browser, company, "disconnect")
    assert "Try again now" not in browser.get(f"/ops/connections/{company}").text
    assert ordered(browser, company, "retry").startswith("QuickBooks does not accept the last")


def test_an_unknown_company_or_order_is_not_there(
    company: str, browser: TestClient, place: Place
) -> None:
    assert browser.get("/ops/connections/nobody").status_code == 404
    assert browser.get("/ops/connections/nobody/live").status_code == 404
    assert browser.get(f"/ops/connections/{company}/pause").status_code == 404
    assert browser.post(f"/ops/connections/{company}/destroy").status_code == 404
    assert browser.get("/ops/connections/" + "a" * 33).status_code == 404
    assert audited(place)[1:] == []


@pytest.mark.parametrize("text", ["Ärzte", "Élan", "gmbh", "sa"])
def test_companies_with_accents_are_found_as_they_are_written(
    place: Place, browser: TestClient, text: str
) -> None:
    add_companies(place, ["Ärzte GmbH", "Élan SA"])
    _, page = found(browser, text)
    assert ("Ärzte GmbH" in page) == (text in ("Ärzte", "gmbh"))
    assert ("Élan SA" in page) == (text in ("Élan", "sa"))


def test_sixty_companies_of_one_name_are_each_listed_once(
    place: Place, browser: TestClient
) -> None:
    add_companies(place, ["Same Name"] * 60)
    first = browser.get("/ops/connections").text
    second = browser.get(re.findall(r'href="([^"]*after=[^"]*)"', first)[0]).text
    seen = re.findall(r'<a href="/ops/connections/(c\d+)">Same Name', first + second)
    assert sorted(seen, key=lambda name: int(name[1:])) == [f"c{n}" for n in range(60)]
