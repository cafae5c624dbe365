"""`findings`, as an operator types it; and what `status` says of Infactor's own database."""

import json
from dataclasses import replace
from datetime import timedelta
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.database.tables import Connection, Finding
from service.domain import Severity
from service.monitoring.facts import Facts
from service.monitoring.infactor import critical_findings
from service.store import findings
from service.store.findings import Found
from tests.cli.columns import cells_of
from tests.cli.place import NOW, Place, rows
from tests.store.delivery_rows import DeliveryRows

REALM, OTHER = "9341455000000077", "9341455000000088"
DELIVERS = {
    "INFACTOR_MONGODB_URL": "mongodb://127.0.0.1:9",
    "INFACTOR_MONGODB_DATABASE": "unused",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def fill(place: Place) -> None:
    """Leave an info, a critical, a warning and a closed finding, in this order."""
    company = place.add_company(REALM, "Bright [red]\x1b[31m Bakery")
    with place.services() as services:
        rows = DeliveryRows(services.database, company)
        rows.invoice("145", doc_number="R-145", currency="CAD", delivered_revision=1)
        rows.document("145", "invoice_accepted")
        rows.finding("145", "info", field="items", approved=None, current=None, found_at=NOW)
        rows.finding("145", "critical", found_at=NOW + timedelta(hours=1))
        rows.finding(
            "145",
            "warning",
            kind="hurried",
            field="payableDate",
            state="ifactor_request",
            approved="2026-12-01",
            current="2026-12-24",
            found_at=NOW,
        )
        rows.finding("145", "critical", field="buyerEmail", closed_at=NOW + timedelta(days=1))


def test_the_table_says_what_was_approved_and_what_is_now(place: Place) -> None:
    fill(place)
    ended = place.run("findings")
    assert (ended.returncode, ended.stderr) == (0, "")
    company = "Bright [red]\N{REPLACEMENT CHARACTER}[31m Bakery"
    assert cells_of(ended.stdout) == [
        [
            *("2", "critical", company, "R-145", "Approved", "Amount"),
            *("100.00 USD", "90.00 CAD", "2026-11-22 10:36 UTC"),
        ],
        [
            *("3", "warning", company, "R-145", "Factoring Requested"),
            "Due: written over just before the approval",
            *("1 Dec 2026", "24 Dec 2026", "2026-11-22 09:36 UTC"),
        ],
        ["1", "info", company, "R-145", "Approved", "Items", "", "", "2026-11-22 09:36 UTC"],
    ]


def test_states_are_told_in_words_and_what_is_gone_has_no_values(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    with place.services() as services:
        rows = DeliveryRows(services.database, company)
        rows.invoice("145")
        approved, current = "held back: partly_paid", "invoice_accepted"
        moved = {"kind": "moved_on", "field": "state", "approved": approved, "current": current}
        rows.finding("145", "critical", **moved)
        gone = {"kind": "missing", "field": "document", "approved": "there", "current": "gone"}
        rows.finding("145", "critical", **gone)
    assert [row[5:8] for row in cells_of(place.run("findings").stdout)] == [
        ["Document: gone from Infactor", "", ""],
        ["Status: moved on though held back", "held back: partly paid", "Approved"],
    ]


def test_the_history_has_those_that_are_over_at_its_end(place: Place) -> None:
    fill(place)
    *_, over = cells_of(place.run("findings", "--history").stdout)
    assert (over[1], over[5], over[9]) == (
        "critical",
        "Buyer's e-mail address",
        "2026-11-23 09:36 UTC",
    )
    assert len(rows_of(place, "--history")) == 4


def test_what_somebody_has_seen_to_is_no_longer_wrong_until_it_changes(place: Place) -> None:
    fill(place)
    assert causes(place) == ["finding.critical"]
    ended = place.run("acknowledge", "--finding", "2", "--note", "called the lender")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == "Acknowledged. It alerts again only if it changes.\n"
    assert causes(place) == []
    (audited,) = rows(place, "audit")
    assert (audited["action"], audited["connection"]) == ("acknowledge", f"connection-of-{REALM}")
    assert audited["details"] == {"finding": 2, "kind": "changed", "fields": ["invoiceAmount"]}
    assert audited["actor"] == f"cli:{getuser()}"
    first = cells_of(place.run("findings").stdout)[0]
    assert first[:2] == ["2", "critical (seen: called the lender)"]
    changed = Found(
        field="invoiceAmount",
        severity=Severity.CRITICAL,
        state="invoice_accepted",
        cause="invoiceAmount",
    )
    with place.services() as services, services.database.write() as session:
        finding = session.get_one(Finding, 2)
        about = {finding.invoice_id: [replace(changed, current="80")]}
        findings.keep(session, finding.connection_id, {finding.kind: about}, NOW)
    assert causes(place) == ["finding.critical"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--finding", "4", "--note", "x"], "No open finding has this id."),  # it is over
        (["--finding", "99", "--note", "x"], "No open finding has this id."),
        (["--finding", "2", "--note", "  "], "--note: say what was done about it."),
    ],
)
def test_what_cannot_be_acknowledged_is_refused(
    place: Place, arguments: list[str], words: str
) -> None:
    fill(place)
    ended = place.run("acknowledge", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert rows(place, "audit") == []


def causes(place: Place) -> list[str]:
    """Return what findings are told as wrong."""
    with place.services() as services, services.database.read() as session:
        found = critical_findings(Facts(session, services.settings, NOW))
        return [condition.cause for condition in found]


def test_of_many_only_so_many_are_shown(place: Place) -> None:
    fill(place)
    ended = place.run("findings", "--limit", "1")
    assert [row[1] for row in cells_of(ended.stdout)] == ["critical"]
    assert ended.stderr == "These are 1. --limit shows more, --json all of them.\n"
    assert [row["severity"] for row in rows_of(place, "--limit", "2")] == ["critical", "warning"]


def test_programs_get_everything(place: Place) -> None:
    fill(place)
    first, *others = rows_of(place)
    assert len(others) == 2
    assert {name: first[name] for name in ("quickbooks_id", "number", "kind", "state")} == {
        "quickbooks_id": "145",
        "number": "R-145",
        "kind": "changed",
        "state": "invoice_accepted",
    }
    assert first["closed_at"] is None
    assert first["fields"] == [
        {"field": "invoiceAmount", "severity": "critical", "approved": "100", "current": "90"}
    ]


def rows_of(place: Place, *arguments: str) -> list[dict[str, Any]]:
    ended = place.run("findings", "--json", *arguments)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_nothing_found_is_said(place: Place) -> None:
    place.add_company(REALM, "Bright Bakery")
    ended = place.run("findings")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "Findings: none.\n")


def test_findings_of_another_environment_are_not_shown(place: Place) -> None:
    fill(place)
    with place.services() as services, services.database.write() as session:
        session.scalars(select(Connection)).one().environment = "production"
    assert rows_of(place) == []


def test_status_has_a_line_about_infactors_own_database(place: Place) -> None:
    fill(place)
    with place.services() as services:
        rows = DeliveryRows(services.database, f"connection-of-{REALM}")
        rows.invoice("146")
    assert "infactor " not in place.run("status").stdout
    delivering = place.with_settings(DELIVERS)
    ended = delivering.run("status")
    assert (
        "\ninfactor    1 delivered; 1 outgoing; 3 findings (1 critical, not acknowledged)\n"
        in ended.stdout
    )
    assert "finding.critical (critical)" in ended.stdout
    assert "$ infactor-quickbooks invoice qbk-" in ended.stdout
    assert ended.returncode == 1
