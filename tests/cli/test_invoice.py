"""`invoice`, as an operator types it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.place import NOW, Place
from tests.store.delivery_rows import DeliveryRows

REALM, OTHER = "9341455000000077", "9341455000000088"
HOLDS = [{"code": "overdue", "figures": {"due": "2026-10-01"}}]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A company with invoice R-145, held, and another with one of the same number and Id."""
    place = Place(tmp_path)
    for realm, number, name in ((REALM, "145", "Bright Bakery"), (OTHER, "146", "Other Books")):
        company = place.add_company(realm, name)
        with place.services() as services:
            rows = DeliveryRows(services.database, company)
            rows.invoice(
                number,
                doc_number="R-145",
                holds=HOLDS if realm == REALM else [],
                hold="overdue" if realm == REALM else None,
                source={"Id": number, "PrivateNote": "as it came"},
            )
            rows.finding(number, "critical", found_at=NOW)
    return place


ID = "qbk-connecti-145"


def test_everything_known_of_one_is_printed(place: Place) -> None:
    ended = place.run("invoice", ID)
    assert (ended.returncode, ended.stderr) == (0, "")
    for words in (
        "R-145 (Id 145)",
        "Bright Bakery",
        "It was due on 2026-10-01.",
        "Amount",
        "100.00 USD",
    ):
        assert words in ended.stdout, words


def test_programs_get_codes_figures_and_the_original(place: Place) -> None:
    (one,) = as_json(place, ID)
    assert one["holds"] == [
        {
            "code": "overdue",
            "words": "overdue",
            "text": "It was due on 2026-10-01.",
            "figures": {"due": "2026-10-01"},
            "private": False,
        }
    ]
    assert one["original"] == {"Id": "145", "PrivateNote": "as it came"}
    assert one["findings"][0]["severity"] == "critical"
    assert "realm" not in json.dumps(one)


def test_of_several_with_one_number_people_choose_and_programs_get_all(place: Place) -> None:
    ended = place.run("invoice", "--number", "R-145")
    assert ended.returncode == 2
    named = "Name one by its id in Infactor, or ask for --json.\n"
    assert ended.stderr == f"Several invoices match. {named}"
    assert ID in ended.stdout
    assert {one["connection"] for one in as_json(place, "--number", "R-145")} == {
        f"connection-of-{REALM}",
        f"connection-of-{OTHER}",
    }


def test_a_number_that_is_an_id_too_hides_no_invoice(place: Place) -> None:
    with place.services() as services:
        rows = DeliveryRows(services.database, f"connection-of-{REALM}")
        rows.invoice("160", doc_number="145")
        rows.invoice("161", doc_number="161")
    # Several have the number, or the id; one has both.
    assert [one["quickbooks_id"] for one in as_json(place, "145")] == ["145"]
    assert [one["quickbooks_id"] for one in as_json(place, "161")] == ["161"]
    assert [one["quickbooks_id"] for one in as_json(place, "--number", "145")] == ["160"]
    assert [one["quickbooks_id"] for one in as_json(place, "--number", "161")] == ["161"]


def test_none_of_many_with_one_number_is_left_out_unsaid(place: Place) -> None:
    with place.services() as services:
        rows = DeliveryRows(services.database, f"connection-of-{REALM}")
        for number in range(200, 221):
            rows.invoice(str(number), doc_number="R-9")
    assert len(as_json(place, "--number", "R-9")) == 21
    ended = place.run("invoice", "--number", "R-9")
    assert ended.stderr.startswith("More than 20 invoices match. Name one by its id")
    assert ended.stdout.count("qbk-") == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name one invoice: its ID, or --number N."),
        (["145", "--number", "R-145"], "Name one invoice: its ID, or --number N."),
        (["  "], "Name one invoice: its ID, or --number N."),
        (["R-145"], "No invoice has the id R-145."),
        (["--number", "145"], "No invoice has the number 145."),
        (["nobody"], "No invoice has the id nobody."),
    ],
)
def test_what_names_no_invoice_is_refused(place: Place, arguments: list[str], words: str) -> None:
    ended = place.run("invoice", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr


def as_json(place: Place, *arguments: str) -> list[dict[str, Any]]:
    ended = place.run("invoice", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]
