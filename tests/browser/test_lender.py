"""A lender's auditor at the operators' pages: from a number to the reason in three clicks."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import Reader, heading, log_in, look
from tests.journey.deployment import Deployment, deployed
from tests.journey.suspicious import CLEAN, HELD, PAYABLE_ONLINE, SUPPLIER, a_book
from tests.journey.two_companies import REALM
from tests.servers import wait_until
from tests.web.ops.operators import entry

WIDTHS = (360, 768, 1366, 1920)
PHONE = WIDTHS[:1]
LONG = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """The service as a lender has it, with an operator; nobody is connected."""
    settings = {"OPS_USERS": entry("ada"), "INFACTOR_PROFILE": "lender"}
    url = f"sqlite:///{tmp_path}/pages.db"
    with deployed(tmp_path, {REALM: a_book()}, url, settings=settings) as made:
        yield made


def holds(database: Path) -> dict[str, list[str]]:
    """Return by which rules each invoice is held, by its Id in QuickBooks."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT quickbooks_id, holds FROM invoices").fetchall()
    return {id_: [one["code"] for one in json.loads(kept)] for id_, kept in rows}


LARGE = 1_234_567_890_123_450_000  # in millionths: an amount of 15 digits, with cents
AT = "2026-11-03 10:00:00.000000"
WRITTEN_OFF = f"2,000,000,000,000.25 USD written off by entry JE-77 of 2026-11-01 for {LONG}"
FIELD = {"field": "write_off", "severity": "critical", "approved": None, "current": WRITTEN_OFF}


def write_off(database: Path, quickbooks_id: str) -> None:
    """Let an approved invoice of a large amount have been written off in part."""
    with closing(sqlite3.connect(database)) as connection, connection:
        id_, company = connection.execute(
            "SELECT id, connection_id FROM invoices WHERE quickbooks_id = ?", (quickbooks_id,)
        ).fetchone()
        buyer = "mapped = json_set(mapped, '$.companyName', ?)"
        for change, values in (
            ("documents SET state = 'ifactor_prepaid' WHERE invoice_id = ?", (id_,)),
            (f"invoices SET total = {LARGE}, balance = {LARGE}, {buyer} WHERE id = ?", (LONG, id_)),
        ):
            connection.execute(f"UPDATE {change}", values)
        connection.execute(
            "INSERT INTO settlements VALUES (?, '900', '901', 'write_off', ?, ?, '2026-11-02', ?,"
            " ?, 'JE-77', '2026-11-01', ?)",
            (id_, LARGE, LARGE, LONG, f"Bad debts of {LONG}", AT),
        )
        connection.execute(
            "INSERT INTO findings (invoice_id, connection_id, kind, cause, severity, state, fields,"
            " found_at, changed_at) VALUES (?, ?, 'settled', 'write_off', 'critical',"
            " 'ifactor_prepaid', ?, ?, ?)",
            (id_, company, json.dumps([FIELD]), AT, AT),
        )


def search(page: Page, text: str) -> None:
    page.get_by_label("Number, id, buyer or amount").fill(text)
    page.get_by_role("button", name="Search").click()


def look_at_table(page: Page, name: str) -> None:
    """Look at the page, whose table needs no scrolling either."""
    look(page, name, WIDTHS)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        room, needed = page.locator(".card.table").evaluate(
            "card => [card.clientWidth, card.scrollWidth]"
        )
        assert needed <= room, f"{name} at {width}: {needed} px in {room}"


def go(page: Page, tab: str) -> None:
    page.get_by_role("navigation", name="Operations").get_by_role("link", name=tab).click()
    heading(page, tab)


def test_from_a_number_to_the_reason_in_three_clicks(
    deployment: Deployment, reader: Reader, tmp_path: Path
) -> None:
    page = reader.page()
    log_in(page, deployment)
    for tab, words in (("Ledger", "No invoice yet"), ("Invoices", "Search for an invoice")):
        go(page, tab)
        expect(page.get_by_role("heading", level=2)).to_have_text(words)
        look(page, f"ops-{tab.lower()}-empty", PHONE)

    deployment.connect(REALM, SUPPLIER)
    database = tmp_path / "pages.db"
    # The account of a buyer is counted half a minute later.
    last = HELD["set_off"]
    wait_until(lambda: "set_off" in holds(database).get(last, []), 90, "the buyers' accounts")
    found = holds(database)
    assert found.keys() == {*CLEAN, *HELD.values(), PAYABLE_ONLINE}
    twins = {"exact twin": "duplicate", "near twin": "duplicate"}
    assert [what for what, id_ in HELD.items() if twins.get(what, what) not in found[id_]] == []
    assert {id_ for id_, codes in found.items() if not codes} == {*CLEAN, PAYABLE_ONLINE}
    (payable,) = deployment.rows("invoice", PAYABLE_ONLINE)
    assert (payable["signals"][0]["code"], payable["state"]) == ("pay_link", "invoice_created")

    go(page, "Invoices")  # one
    search(page, "HL-1030")  # two
    page.get_by_role("link", name="HL-1030").click()  # three
    heading(page, "Invoice HL-1030 (Id 30)")
    held = page.get_by_role("region", name="Why it is held")
    expect(held).to_contain_text("It was neither e-mailed nor printed from QuickBooks.")
    look(page, "ops-invoice-held", WIDTHS)

    write_off(database, "3")
    go(page, "Invoices")
    search(page, "HL-1003")
    expect(page.get_by_role("cell", name="1,234,567,890,123.45 USD").first).to_be_visible()
    look_at_table(page, "ops-invoices-long")
    page.get_by_role("link", name="HL-1003").click()
    expect(page.get_by_role("region", name="Payments and credits")).to_contain_text("Write off")
    look(page, "ops-invoice-approved", WIDTHS)
    go(page, "Invoices")
    search(page, "nothing like it")
    expect(page.get_by_role("heading", level=2)).to_have_text("No invoice matches")
    look(page, "ops-invoices-none", PHONE)
    go(page, "Ledger")
    expect(page.get_by_role("cell", name="1,234,567,890,123.45 USD").first).to_be_visible()
    look_at_table(page, "ops-ledger")
