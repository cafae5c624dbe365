"""A company that an operator has released, and the supplier who connects it next."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import select

from service.database.tables import Document, Run
from service.kit.clock import now
from service.operations.forget import forget_supplier
from service.store import runs
from tests.servers import wait_until
from tests.web.conftest import OTHER, OURS, Place, an_invoice, release, said
from tests.web.racing import at_once, place_of, slow_company_info
from workers.rejudging import judge_company
from workers.runs.run import advance

FIRST, SECOND, THIRD = "first@example.com", "second@example.com", "third@example.com"


def connect(place: Place, email: str, realm: str = OURS, **link: object) -> str:
    """Make the whole journey; return where it ended."""
    name = f"Supplier {email.partition('@')[0]}"
    answer = place.connect(place.browser(), place.token(email, name=name, **link), realm)
    return place_of(answer.headers["location"])


@pytest.fixture(autouse=True)
def unhurried(place: Place) -> None:
    """Let QuickBooks bear years of connecting and importing within one second."""
    place.sim("POST", "/settings", {"requests_per_second": None})


def work(place: Place) -> None:
    """Do all the runs that are under way."""
    with place.services.database.read() as session:
        under_way = session.scalars(select(Run.id).where(Run.state == "active")).all()
    for run_id in under_way:
        while advance(place.services, run_id):
            pass
    for connection in place.connections():
        judge_company(place.services, connection.id)


def owners(place: Place) -> dict[str, str]:
    """Return in whose name each document is, by QuickBooks id."""
    with place.services.database.read() as session:
        documents = [row.document for row in session.scalars(select(Document))]
    return {d["qbkInvoiceId"]: d["supplierEmail"] for d in documents}


def test_a_released_company_can_be_connected_by_another_supplier(place: Place) -> None:
    connect(place, FIRST)
    work(place)
    [before] = place.connections()
    assert connect(place, SECOND) == "/quickbook/problem/company-taken"
    assert not release(place, disconnected=False)
    assert release(place)
    assert connect(place, SECOND) == "/quickbook/connected"
    [after] = place.connections()
    assert (after.id, after.state, after.released_at) == (before.id, "connected", None)
    assert after.supplier_id != before.supplier_id
    work(place)
    assert owners(place) == {"1": SECOND}
    assert place.rows("documents") == 1
    page = said(place.log_in(SECOND).get("/quickbook/").text)
    assert "Our <b>Books</b>" in page
    assert "Buyer Seven" in page
    assert connect(place, FIRST) == "/quickbook/problem/company-taken"


@pytest.mark.both_databases("the statements are its own")
def test_the_former_supplier_no_longer_sees_a_released_company(place: Place) -> None:
    browser = place.browser()
    landed = place.connect(browser, place.token(FIRST)).headers["location"]
    work(place)
    invoice = f"/quickbook/invoices/{place.invoice_id('1')}"
    assert (browser.get(landed).status_code, browser.get(invoice).status_code) == (200, 200)
    release(place)
    for when in ("released", "handed over"):
        assert (browser.get(landed).status_code, browser.get(invoice).status_code) == (404, 404)
        page = said(browser.get("/quickbook/").text)
        assert "QuickBooks is not connected" in page, when
        assert "Our <b>Books</b>" not in page, when
        connect(place, SECOND)
        work(place)


def test_a_released_company_is_still_its_former_suppliers_who_connects_it_first(
    place: Place,
) -> None:
    connect(place, FIRST)
    work(place)
    release(place)
    assert connect(place, FIRST) == "/quickbook/connected"
    assert [c.released_at for c in place.connections()] == [None]
    assert owners(place) == {"1": FIRST}
    assert connect(place, SECOND) == "/quickbook/problem/company-taken"


@pytest.mark.both_databases("the statements are its own")
def test_the_next_supplier_does_not_see_what_was_decided_in_the_former_name(place: Place) -> None:
    place.sim("PUT", f"/companies/{OURS}/Invoice", an_invoice("3"))
    connect(place, FIRST)
    work(place)
    place.decide("1", "ifactor_prepaid")
    release(place)
    connect(place, SECOND)
    work(place)
    assert owners(place) == {"1": FIRST, "3": SECOND}
    browser = place.log_in(SECOND)
    page = said(browser.get("/quickbook/").text)
    assert "1 of 1 invoice in Infactor" in page
    assert "In Infactor 100.00 USD 1 invoice" in page
    assert place.invoice_id("1") not in browser.get("/quickbook/").text
    # Nor where it would stand among the others.
    after = browser.get(f"/quickbook/?after={place.invoice_id('1')}").text
    assert place.invoice_id("3") in after
    assert "Previous" not in after
    assert browser.get(f"/quickbook/invoices/{place.invoice_id('1')}").status_code == 404
    mine = browser.get(f"/quickbook/invoices/{place.invoice_id('3')}")
    assert mine.status_code == 200
    assert FIRST not in mine.text
    assert "Supplier first" not in mine.text
    # A company that was nobody else's is counted beside it.
    connect(place, SECOND, OTHER, another_company=True)
    work(place)
    page = said(browser.get("/quickbook/").text)
    assert page.count("1 of 1 invoice in Infactor") == 2


def test_nothing_recorded_for_the_former_supplier_shows_before_it_is_mapped_anew(
    place: Place,
) -> None:
    place.sim("PUT", f"/companies/{OURS}/Invoice", an_invoice("3", Balance=0))  # held, no document
    connect(place, FIRST)
    work(place)
    release(place)
    connect(place, SECOND)
    browser = place.log_in(SECOND)
    page = said(browser.get("/quickbook/").text)
    assert "invoices in Infactor" not in page
    assert "USD" not in page
    for number in ("1", "3"):
        address = f"/quickbook/invoices/{place.invoice_id(number)}"
        assert browser.get(address).status_code == 404
    work(place)
    assert "1 of 2 invoices in Infactor" in said(browser.get("/quickbook/").text)
    held = browser.get(f"/quickbook/invoices/{place.invoice_id('3')}").text
    assert FIRST not in held


def test_the_history_does_not_tell_the_next_supplier_who_had_the_company(place: Place) -> None:
    connect(place, FIRST)
    work(place)
    place.do("UPDATE suppliers SET name = 'Former Supplies Ltd'")
    place.sim("PUT", f"/companies/{OURS}/Invoice", an_invoice(DocNumber="new"))
    with place.services.database.write() as session:
        runs.create_or_join(session, place.connections()[0].id, "command", None, now())
    work(place)
    release(place)
    connect(place, SECOND)
    work(place)
    page = place.log_in(SECOND).get(f"/quickbook/invoices/{place.invoice_id('1')}").text
    assert "Invoice no.: 101 → new" in page
    assert "Supplier changed" in page
    assert "Former Supplies Ltd" not in page


@pytest.mark.both_databases("locks work differently")
def test_a_supplier_who_is_forgotten_while_connecting_is_not_connected(place: Place) -> None:
    place.sim("POST", "/faults", {"kind": "companyinfo", "delay": 60, "count": 1})
    place.consent()
    browser = place.browser()
    back = place.decided(place.begin(browser, place.token(FIRST)))
    with ThreadPoolExecutor() as pool:
        landing = pool.submit(browser.get, back)
        script = place.simulator.simulator.script
        wait_until(lambda: not script.rules, what="the question to the company")
        forget_supplier(place.services, place.only("SELECT id FROM suppliers"), "cli:me")
        place.sim("DELETE", "/faults")
        landed = place_of(landing.result().headers["location"])
    assert landed == "/quickbook/problem/unknown-answer"
    assert place.connections() == []
    assert not place.is_granted()


def test_a_withdrawal_after_the_hand_over_is_in_the_new_suppliers_name(place: Place) -> None:
    connect(place, FIRST)
    work(place)
    release(place)
    place.sim("POST", f"/companies/{OURS}/Invoice/1/pay", {})
    connect(place, SECOND)
    work(place)
    assert owners(place) == {"1": SECOND}
    page = said(place.log_in(SECOND).get("/quickbook/").text)
    assert "0 of 1 invoice in Infactor" in page


@pytest.mark.both_databases("the statements are its own")
def test_a_run_of_the_former_supplier_does_not_go_on_for_the_next(place: Place) -> None:
    connect(place, FIRST)  # and nobody does the import
    release(place)
    connect(place, SECOND)
    with place.services.database.read() as session:
        runs = [(r.cause, r.state) for r in session.scalars(select(Run).order_by(Run.id))]
    assert runs == [("connect", "failed"), ("reconnect", "active")]


def test_who_has_another_company_needs_a_link_for_a_released_one_too(place: Place) -> None:
    connect(place, FIRST)
    release(place)
    assert connect(place, SECOND, OTHER) == "/quickbook/connected"
    assert connect(place, SECOND) == "/quickbook/problem/other-company"
    assert connect(place, SECOND, another_company=True) == "/quickbook/connected"


def test_whose_only_company_was_released_connects_another_with_an_ordinary_link(
    place: Place,
) -> None:
    connect(place, FIRST)
    release(place)
    assert connect(place, FIRST, OTHER) == "/quickbook/connected"


@pytest.mark.both_databases("locks work differently")
def test_two_suppliers_at_once_with_a_released_company(place: Place) -> None:
    connect(place, FIRST)
    release(place)
    slow_company_info(place)
    place.consent()
    journeys: list[Callable[[], httpx.Response]] = []
    for email in (SECOND, THIRD):
        browser = place.browser()
        back = place.decided(place.begin(browser, place.token(email)))
        journeys.append(lambda browser=browser, back=back: browser.get(back))
    landed = sorted(place_of(where) for where in at_once(*journeys))
    assert landed == ["/quickbook/connected", "/quickbook/problem/company-taken"]
    assert len(place.connections()) == 1
    assert place.is_granted()
