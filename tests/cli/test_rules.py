"""`rules`, as an operator types it."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import Connection
from service.infactor.rules.facts import InvoiceFacts, encoded
from service.kit.clock import now
from tests.cli.place import Place
from tests.store.delivery_rows import DeliveryRows

REALM = "9341455000000077"
LONG_AGO = date(2020, 1, 1)
FAR_AHEAD = date(2099, 1, 1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A company with an overdue invoice, a paid one, and one of which nothing is to be said."""
    place = Place(tmp_path)
    company = place.add_company(REALM, "Bright Bakery")
    with place.services() as services, services.database.write() as session:
        session.execute(update(Connection).values(proved_at=now()))
    overdue = [{"code": "overdue", "figures": {"due": "2020-01-01"}}]
    paid = [{"code": "paid", "figures": {"total": "70"}}]
    with place.services() as services:
        rows = DeliveryRows(services.database, company)
        facts = InvoiceFacts(total=Decimal(50), balance=Decimal(50), due_date=LONG_AGO)
        rows.invoice("1", **about("R-1", facts), signals=overdue)
        facts = InvoiceFacts(total=Decimal(70), due_date=FAR_AHEAD)
        rows.invoice("2", **about("R-2", facts), holds=paid, hold="paid")
        facts = InvoiceFacts(total=Decimal(90), balance=Decimal(90), due_date=FAR_AHEAD)
        rows.invoice("3", **about("R-3", facts))
    return place


def about(number: str, facts: InvoiceFacts) -> dict[str, Any]:
    """Return the columns of an invoice with these facts."""
    mapped = {"companyName": "Zephyr"}
    amounts = {"total": facts.total, "balance": facts.balance, "currency": "USD"}
    return {"doc_number": number, "facts": encoded(facts), "mapped": mapped, **amounts}


def test_the_rules_in_force_and_how_many_invoices_each_is_about(place: Place) -> None:
    found = {one["code"]: one for one in as_json(place)}
    assert (found["paid"]["mode"], found["paid"]["holds"], found["paid"]["signals"]) == (
        "hold",
        1,
        0,
    )
    overdue = found["overdue"]
    assert (overdue["mode"], overdue["limit"], overdue["unit"]) == ("signal", 0, "days")
    assert (overdue["holds"], overdue["signals"], overdue["supplier_is_told"]) == (0, 1, True)
    assert overdue["asks"] == "The due date passed more than 0 days ago."
    changed = place.with_settings({"INFACTOR_RULES": "overdue=hold:30"})
    assert {one["code"]: one for one in as_json(changed)}["overdue"]["limit"] == 30
    ended = place.run("rules")
    assert ended.stderr == "These are the rules of the profile standard.\n"
    assert "The due date passed more than 0 days ago." in ended.stdout


def test_what_other_rules_would_do_names_each_invoice_and_sums(place: Place) -> None:
    ended = place.run("rules", "--what-if", "overdue=hold,paid=off", "--json")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(one["number"], one["rule"], one["from"], one["to"]) for one in rows] == [
        ("R-1", "overdue", "signal", "hold"),
        ("R-2", "paid", "hold", "off"),
    ]
    assert (rows[0]["balance"], rows[0]["currency"], rows[0]["held"]) == (50, "USD", False)
    assert ended.stderr.splitlines() == [
        "overdue: signal to hold: 1 invoice.",
        "paid: hold to off: 1 invoice.",
        "Held instead of offered: 1 invoice, 50.00 USD due.",
        "Offered instead of held: 1 invoice, 0.00 USD due.",
        "Nothing was written.",
    ]


def test_as_many_as_are_asked_for_are_shown_and_all_are_counted(place: Place) -> None:
    ended = place.run("rules", "--what-if", "overdue=hold,paid=off", "--limit", "1")
    assert ("R-1" in ended.stdout, "R-2" in ended.stdout) == (True, False)
    assert "These are 1." in ended.stderr
    assert "Held instead of offered: 1 invoice, 50.00 USD due." in ended.stderr
    assert "Offered instead of held: 1 invoice, 0.00 USD due." in ended.stderr


def test_another_profile_and_another_limit(place: Place) -> None:
    ended = place.run("rules", "--profile", "lender")
    assert "R-1 (Id 1)" in ended.stdout
    assert "R-3" not in ended.stdout
    assert "Held instead of offered: 1 invoice, 50.00 USD due." in ended.stderr
    ended = place.run("rules", "--profile", "lender", "--what-if", "overdue=signal:99999")
    assert "overdue: signal to off: 1 invoice." in ended.stderr
    assert "Held instead of offered: 0 invoices." in ended.stderr


def test_a_rehearsal_leaves_everything_as_it_was(place: Place) -> None:
    before = as_json(place)
    place.run("rules", "--what-if", "overdue=hold")
    assert as_json(place) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--what-if", "overdu=hold"], "--what-if: there is no rule 'overdu'; the rules are: "),
        (["--what-if", "overdue=hold:many"], "the limit must be a whole number of days"),
        (["--what-if", "paid=hold:3"], "--what-if: paid: has no limit; write paid=hold"),
        (["--what-if", "overdue=maybe"], "--what-if: overdue: must be one of off, signal, hold"),
        (["--what-if", ""], "--what-if: name a rule, such as overdue=hold:30."),
        (["--profile", "lenders"], "--profile: must be one of guide, standard, lender."),
    ],
)
def test_what_is_misspelt_is_refused_with_what_to_correct(
    place: Place, arguments: list[str], words: str
) -> None:
    ended = place.run("rules", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stdout == ""


def as_json(place: Place) -> list[dict[str, Any]]:
    ended = place.run("rules", "--json")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    "other", [["--json"], ["--profile", "lender"], ["--what-if", "overdue=off"], ["--limit", "3"]]
)
def test_the_catalogue_takes_no_other_option(place: Place, other: list[str]) -> None:
    ended = place.run("rules", "--markdown", *other)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "--markdown prints the catalogue, and goes with no other option.\n"
