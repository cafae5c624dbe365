"""Findings before operators: in words, by company, seen to."""

import re
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from service.database.tables import Finding
from service.domain import SettlementKind
from service.infactor import deviations
from service.infactor.wording import AMOUNTS, DATES, LABELS, WORDS, label
from service.kit.clock import now
from tests.web.conftest import Place, said
from tests.web.ops.operators import add_companies, add_finding, audited, flash_in
from workers.delivery.findings import MONEY


def test_findings_are_shown_by_severity_with_what_was_approved_and_what_is_now(
    place: Place, company: str, browser: TestClient
) -> None:
    assert "No open findings" in said(browser.get("/ops/findings").text)
    add_finding(
        place,
        company,
        "warning",
        field="payableDate",
        approved="2026-12-24",
        current="2027-01-02",
    )
    none = said(browser.get("/ops/findings?severity=info").text)
    assert "No open finding of this severity" in none
    page = said(browser.get("/ops/findings").text)
    assert "Critical 0 Warning 1 Info 0" in page
    assert "Due: approved 24 Dec 2026, now 2 Jan 2027" in page
    add_finding(
        place,
        company,
        "critical",
        kind="missing",
        field="document",
        approved="there",
        current="gone",
    )
    page = said(browser.get("/ops/findings").text)
    assert "101 Critical Buyer Seven Our <b>Books</b>" in page
    assert "Document: gone from Infactor" in page
    assert "Document: gone from Infactor:" not in page  # what it says already
    advice = "Call the person who acts next in Infactor before money moves"
    assert advice in page
    assert advice not in said(browser.get("/ops/findings?severity=warning").text)
    assert "24 Dec" not in page
    assert "24 Dec" in browser.get("/ops/findings?severity=warning").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"approved": "1100.5", "current": "40"}, "Amount: approved 1,100.50 EUR, now 40.00 CAD"),
        (
            {"field": "balance", "approved": "0", "current": "3"},
            "Balance due: approved 0.00 EUR, now 3.00 CAD",
        ),
        ({"field": "taxAmount", "approved": None, "current": "many"}, "Tax: approved -, now many"),
        (
            {"kind": "hurried", "approved": "9", "current": "8"},
            "Amount: written over just before the approval: approved 9.00 EUR, now 8.00 EUR",
        ),
        (
            {
                "kind": "moved_on",
                "field": "state",
                "approved": "held back: partly_paid",
                "current": "ifactor_request",
            },
            "Status: moved on though held back: approved held back: partly paid, now Factoring"
            " Requested",
        ),
        (
            {"field": "invoice", "approved": "open", "current": "void"},
            "Invoice: approved open, now void",
        ),
        ({"field": "items", "approved": None, "current": None}, "Items: approved -, now -"),
        (
            {"field": "buyerEmail", "approved": "", "current": "a_b@c.d"},
            "address: approved -, now a_b@c.d",
        ),
    ],
)
def test_a_finding_is_told_in_words_and_amounts_in_their_currency(
    place: Place, company: str, browser: TestClient, fields: dict[str, Any], words: str
) -> None:
    place.do("UPDATE documents SET currency = 'EUR'")
    place.do("UPDATE invoices SET currency = 'CAD'")
    add_finding(place, company, "critical", **fields)
    assert words in said(browser.get("/ops/findings").text)


def test_every_field_of_a_finding_has_a_label() -> None:
    told = {"invoice", "document", "state", "currency", "customer", "balance"}
    told |= {*deviations._COMPARED, *MONEY, *SettlementKind}
    assert told == LABELS.keys()
    assert [name for name in AMOUNTS | DATES | WORDS if label(name) == name] == []


def test_one_can_look_at_the_findings_of_one_company(
    place: Place, company: str, browser: TestClient
) -> None:
    add_companies(place, ["Another"])
    add_finding(place, company, "warning")
    add_finding(place, "c0", "critical", field="balance")
    add_finding(place, "c0", "warning", field="payableDate")
    page = browser.get(f"/ops/connections/{company}").text
    address = f"/ops/findings?company={company}"
    assert f'<a id="findings" href="{address}">1 open</a>' in page
    page = browser.get(address).text
    assert "<title>Findings of Our &lt;b&gt;Books&lt;/b&gt; · Infactor</title>" in page
    assert "Critical 0 Warning 1 Info 0" in said(page)
    assert page.count('<th role="rowheader"') == 1
    form = {"note": "x", "severity": "warning", "company": company, "seen": seen_in(page)}
    assert '<input type="hidden" name="company"' in page
    answer = browser.post("/ops/findings/1/acknowledge", data=form)
    assert answer.headers["location"] == f"/ops/findings?severity=warning&company={company}"
    everyones = browser.get("/ops/findings?severity=warning").text
    assert '<a href="/ops/findings?severity=warning">' in page
    assert "Critical 1 Warning 2 Info 0" in said(everyones)
    assert "No more findings" in said(browser.get("/ops/findings?severity=info&before=1").text)
    none = browser.get("/ops/findings?company=c0&severity=info")
    assert "No open finding of this severity" in said(none.text)


@pytest.mark.parametrize("company", ["nobody", "a%00b", "x" * 40])
def test_the_findings_of_an_unknown_company_are_not_there(
    place: Place, browser: TestClient, company: str
) -> None:
    assert browser.get(f"/ops/findings?company={company}").status_code == 404
    add_companies(place, ["Elsewhere"], environment="production")
    assert browser.get("/ops/findings?company=c0").status_code == 404


def test_fifty_findings_are_a_page(place: Place, company: str, browser: TestClient) -> None:
    for number in range(52):
        add_finding(place, company, "info", field=f"field-{number}")
    page = browser.get("/ops/findings").text
    assert page.count('<th role="rowheader"') == 50
    older = page.split('">Older')[0].rpartition('href="')[2].replace("&amp;", "&")
    last = browser.get(older).text
    assert last.count('<th role="rowheader"') == 2
    assert '<a href="/ops/findings?severity=info">Newest</a>' in last


def test_a_finding_is_acknowledged_with_a_note(
    place: Place, company: str, browser: TestClient
) -> None:
    finding = add_finding(place, company, "critical")
    address = f"/ops/findings/{finding}/acknowledge"
    seen = seen_in(browser.get("/ops/findings").text)
    empty = browser.post(address, data={"note": "  ", "severity": "critical"})
    assert empty.headers["location"] == "/ops/findings?severity=critical"
    assert flash_in(browser.get(empty.headers["location"]).text).startswith(
        "Nothing was saved. Say"
    )
    assert place.only("SELECT acknowledged_at FROM findings") is None
    answer = browser.post(
        address, data={"note": "Called the <lender>.", "severity": "critical", "seen": seen}
    )
    assert answer.headers["location"] == "/ops/findings?severity=critical"
    page = said(browser.get(answer.headers["location"]).text)
    assert "Acknowledged. It alerts again only if it changes." in page
    assert "Called the <lender>." in page
    assert audited(place)[1:] == [("ops:ada", "acknowledge", company)]


def is_told_to_be_over(browser: TestClient, answer: httpx.Response) -> bool:
    """Tell whether the page that follows says that there is no such finding any more."""
    page = browser.get(answer.headers["location"]).text
    return flash_in(page).startswith("Nothing was saved. The finding has ended")


def seen_in(page: str) -> str:
    """Return when the first finding on the page had last changed."""
    return page.split('name="seen" value="')[1].partition('"')[0]


def test_a_finding_that_has_changed_since_it_was_seen_is_not_acknowledged(
    place: Place, company: str, browser: TestClient
) -> None:
    finding = add_finding(place, company, "warning")
    form = {"note": "fine", "seen": seen_in(browser.get("/ops/findings").text)}
    with place.services.database.write() as session:
        session.get_one(Finding, finding).changed_at = now()
    answer = browser.post(f"/ops/findings/{finding}/acknowledge", data=form)
    assert is_told_to_be_over(browser, answer)
    assert place.only("SELECT acknowledged_at FROM findings") is None
    assert (
        browser.post(f"/ops/findings/{finding}/acknowledge", data={"note": "x"}).status_code == 400
    )


def test_what_is_no_open_finding_is_not_acknowledged(
    place: Place, company: str, browser: TestClient
) -> None:
    closed = add_finding(place, company, "critical", closed_at=now())
    for number in (closed, 4711):
        form = {"note": "x", "seen": now().isoformat()}
        answer = browser.post(f"/ops/findings/{number}/acknowledge", data=form)
        assert is_told_to_be_over(browser, answer)
    assert browser.post("/ops/findings/x/acknowledge", data={"note": "x"}).status_code == 404
    assert audited(place)[1:] == []


def test_what_somebody_has_noted_nobody_writes_over(
    place: Place, company: str, browser: TestClient
) -> None:
    finding_id = add_finding(place, company, "critical", field="balance")
    page = browser.get("/ops/findings").text
    (seen,) = re.findall(r'name="seen" value="([^"]+)"', page)
    for note in ("called the bank, frozen", "looked at it"):
        answer = browser.post(
            f"/ops/findings/{finding_id}/acknowledge", data={"note": note, "seen": seen}
        )
    told = flash_in(browser.get(answer.headers["location"]).text)
    assert told == "Nothing was saved. The finding has ended, changed or been acknowledged since."
    assert place.only("SELECT note FROM findings") == "called the bank, frozen"


def test_findings_of_another_environment_are_neither_listed_nor_acknowledged(
    place: Place, company: str, browser: TestClient
) -> None:
    finding_id = add_finding(place, company, "critical", field="balance")
    (seen,) = re.findall(r'name="seen" value="([^"]+)"', browser.get("/ops/findings").text)
    place.do("UPDATE connections SET environment = 'production'")
    assert "No open findings" in said(browser.get("/ops/findings").text)
    browser.post(f"/ops/findings/{finding_id}/acknowledge", data={"note": "a note", "seen": seen})
    assert place.only("SELECT note FROM findings") is None
