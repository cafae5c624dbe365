"""`ledger`, as an operator types it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.columns import cells_of
from tests.cli.place import Place
from tests.store.delivery_rows import DeliveryRows

REALM = "9341455000000077"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A company with one buyer who owes 60.00 of 80.00."""
    place = Place(tmp_path)
    company = place.add_company(REALM, "Bright Bakery")
    with place.services() as services:
        DeliveryRows(services.database, company).invoice(
            customer_id="7",
            mapped={"companyName": "Zephyr"},
            total=Decimal(60),
            balance=Decimal(60),
            first_total=Decimal(80),
            currency="USD",
            due_key="2020-01-01",
        )
    return place


def test_people_see_amounts_and_programs_get_columns(place: Place) -> None:
    ended = place.run("ledger")
    assert (ended.returncode, ended.stderr) == (0, "")
    (words,) = cells_of(ended.stdout)
    assert words[:3] == ["Zephyr", "Bright Bakery", "60.00 USD"]
    assert words[7:10] == ["60.00", "100.0%", "25.0%"]
    ended = place.run("ledger", "--json", "--supplier", "supplier@example.com")
    one = json.loads(ended.stdout)
    assert (one["buyer"], one["open"], one["open over 90"], one["dilution"]) == (
        "Zephyr",
        60,
        60,
        0.25,
    )
    head, row = place.run("ledger", "--csv").stdout.splitlines()
    assert head.startswith("supplier,connection,company,customer_id,buyer,currency,invoices,open")
    assert ",Zephyr,USD,1,60.000000," in row


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--csv", "--json"], "--csv and --json exclude each other."),
        (["--supplier", "nobody@example.com"], "No supplier with this e-mail address"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    place: Place, arguments: list[str], words: str
) -> None:
    ended = place.run("ledger", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
