"""`adopt`, as an operator types it, on a real MongoDB."""

import json
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from sqlalchemy import select, update

from service.database.tables import AuditEntry, Connection, DeliveryState, Invoice
from tests.cli.place import NOW, Place
from tests.servers import away

REALM = "9341455000000077"
MAIL = "supplier@example.com"
OURS = "qbk-aaaaaaaaaaaaaaaaaaaaaaaaaa"
FITS, COPY, STRANGE = (f"5c8a0000000000000000000{n}" for n in (1, 2, 3))


@pytest.fixture
def place(tmp_path: Path, mongodb_url: str, infactors: Database[dict[str, Any]]) -> Place:
    """A company with invoice 145, and three rows of Infactor's old import."""
    made = Place(tmp_path).with_settings(
        {
            "QUICKBOOKS_ENVIRONMENT": "simulator",
            "QUICKBOOKS_SIMULATOR_URL": "http://127.0.0.1:1",
            "INFACTOR_MONGODB_URL": mongodb_url,
            "INFACTOR_MONGODB_DATABASE": infactors.name,
        }
    )
    company = made.add_company(REALM, "Bright Bakery")
    with made.services() as services, services.database.write() as session:
        session.add(an_invoice(company))
    infactors.invoices.insert_many(
        [
            a_row(FITS, state="ifactor_request"),
            a_row(COPY),
            a_row(STRANGE, qbkInvoiceId="146", invoiceNo="\x1b[31mX"),
        ]
    )
    return made


def an_invoice(connection_id: str) -> Invoice:
    return Invoice(
        id=OURS,
        connection_id=connection_id,
        quickbooks_id="145",
        sync_token=0,
        last_updated=NOW,
        fetch_number=1,
        source={"Id": "145"},
        mapped={
            **{"invoiceId": OURS, "invoiceNo": "1038", "invoiceAmount": 100},
            **{"buyerEmail": "buyer@example.com", "companyName": "Buyer", "payableDate": ""},
            **{"purchaseTitle": "Quickbook #1038", "state": "invoice_created"},
        },
        warnings=[],
        doc_number="1038",
        sought="buyer\n1038",
        total=100,
        recorded_at=NOW,
        delivery=DeliveryState(connection_id=connection_id, recorded_at=NOW),
    )


def a_row(number: str, **fields: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(number),
        "invoiceId": f"random-{number[-1]}",
        "source": "Quickbook",
        "supplierEmail": MAIL,
        "qbkInvoiceId": "145",
        "invoiceNo": "1038",
        "invoiceAmount": 100.0,
        "buyerEmail": False,
        "companyName": "Buyer",
        "state": "invoice_created",
        **fields,
    }


def kept(place: Place) -> tuple[str | None, bool, list[dict[str, Any]]]:
    """Return the invoice's row, whether anybody has looked, and the audit."""
    with place.services() as services, services.database.read() as session:
        invoice = session.get_one(Invoice, OURS)
        looked = session.scalars(select(Connection.adopted_at)).one() is not None
        details = [entry.details for entry in session.scalars(select(AuditEntry))]
    return invoice.adopted, looked, details


ROWS = [
    {
        "_id": FITS,
        "invoiceId": "random-1",
        "qbkInvoiceId": "145",
        "invoiceNo": "1038",
        "invoiceAmount": "100.0",
        "state": "ifactor_request",
        "adopted_by": "random-1",
        "why": None,
        "holds": None,
    },
    {
        "_id": STRANGE,
        "invoiceId": "random-3",
        "qbkInvoiceId": "146",
        "invoiceNo": "\x1b[31mX",
        "invoiceAmount": "100.0",
        "state": "invoice_created",
        "adopted_by": None,
        "why": "no invoice with this Id is recorded",
        "holds": "146",
    },
    {
        "_id": COPY,
        "invoiceId": "random-2",
        "qbkInvoiceId": "145",
        "invoiceNo": "1038",
        "invoiceAmount": "100.0",
        "state": "invoice_created",
        "adopted_by": None,
        "why": "copy of random-1; can still be financed",
        "holds": None,
    },
]


def test_a_dry_run_shows_what_it_would_do_and_changes_nothing(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    before = list(infactors.invoices.find())
    ended = place.run("adopt", "--supplier", MAIL, "--dry-run")
    assert ended.returncode == 1
    assert "would be adopted by invoice 1038 (Id 145)" in ended.stdout
    assert OURS not in ended.stdout
    assert "listed: copy of random-1; can still be financed" in ended.stdout
    assert "listed: no invoice with this Id is recorded" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert ended.stderr == (
        "1 rows would be adopted, 2 would be listed.\n"
        "Held, so that nothing is offered twice: Id 146. In Infactor's database, fix or remove"
        " what is not this supplier's, then run this again.\n"
    )
    assert kept(place) == (None, False, [])
    assert list(infactors.invoices.find()) == before


def test_it_adopts_and_the_audit_knows(place: Place, infactors: Database[dict[str, Any]]) -> None:
    before = list(infactors.invoices.find())
    ended = place.run("adopt", "--supplier", MAIL, "--json")
    assert ended.returncode == 1
    assert [json.loads(line) for line in ended.stdout.splitlines()] == ROWS
    adopted, looked, (details,) = kept(place)
    assert (adopted, looked) == (FITS, True)
    assert (details["adopted"], details["listed"], details["held"]) == (1, 2, 1)
    assert list(infactors.invoices.find()) == before
    assert "adopt" in place.run("audit").stdout


def test_what_was_adopted_is_told_again_also_once_it_was_delivered(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    place.run("adopt", "--supplier", MAIL)
    infactors.invoices.update_one({"_id": ObjectId(FITS)}, {"$set": {"qbkRevision": 1}})
    ended = place.run("adopt", "--supplier", MAIL.upper(), "--dry-run")
    assert "random-1 145 1038 100.0 ifactor_request adopted by invoice 1038 (Id 145)" in " ".join(
        ended.stdout.split()
    )
    assert "listed: copy of random-1; can still be financed" in ended.stdout
    assert ended.stderr.splitlines()[0] == (
        "0 rows would be adopted, besides 1 before, 2 would be listed."
    )


def test_an_adopted_invoice_has_its_documents_own_id_everywhere(place: Place) -> None:
    place.run("adopt", "--supplier", MAIL)
    (row,) = [
        json.loads(line) for line in place.run("invoices", "--held", "--json").stdout.splitlines()
    ]
    assert row["invoiceId"] == "random-1"
    shown = place.run("invoices", "--held", "--supplier", MAIL.upper()).stdout
    assert "random-1" in shown
    assert OURS not in shown
    with place.services() as services, services.database.write() as session:
        session.execute(update(DeliveryState).values(error="refused"))
    (refused,) = [
        one
        for one in json.loads(place.run("status", "--json").stdout)["wrong"]
        if one["cause"] == "deliveries.refused"
    ]
    assert "the first random-1: refused" in refused["text"]


def test_held_and_doubled_rows_are_told_unasked(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.update_one({"_id": ObjectId(STRANGE)}, {"$set": {"qbkInvoiceId": "145"}})
    place.run("adopt", "--supplier", MAIL)
    status = place.run("status")
    assert status.returncode == 1
    told = " ".join(status.stdout.split())
    assert "old_rows.held (warning)" in told
    assert "1 invoice waits: Infactor has rows of its old import" in told
    assert "$ infactor-quickbooks adopt --connection connection-of-9341455000000077" in told
    assert "finding.critical (critical)" in told
    (doubled,) = [json.loads(line) for line in place.run("findings", "--json").stdout.splitlines()]
    assert (doubled["kind"], doubled["invoice"]) == ("doubled", "random-1")
    assert doubled["fields"][0]["current"] == "random-2: Approval Awaited"
    listed = " ".join(place.run("findings").stdout.split())
    assert "Document: in Infactor more than once" in listed


def test_the_supplier_of_a_connection(place: Place) -> None:
    with place.services() as services, services.database.read() as session:
        connection = session.scalars(select(Connection.id)).one()
    assert place.run("adopt", "--connection", connection, "--dry-run").stderr.startswith("1 rows")
    for options in ((), ("--connection", connection, "--supplier", MAIL)):
        ended = place.run("adopt", *options)
        assert (ended.returncode, ended.stderr) == (
            2,
            "Name either --supplier EMAIL or --connection ID.\n",
        )
    ended = place.run("adopt", "--connection", "nobody")
    assert ended.stderr == "No company matches. `infactor-quickbooks connections` lists them.\n"


def test_where_every_row_is_explained_the_exit_status_is_zero(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.delete_many({"_id": {"$ne": ObjectId(FITS)}})
    ended = place.run("adopt", "--supplier", MAIL)
    assert (ended.returncode, ended.stderr) == (0, "1 rows are adopted, 0 are listed.\n")


def test_without_rows_there_is_nothing_to_adopt(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    infactors.invoices.delete_many({})
    ended = place.run("adopt", "--supplier", MAIL)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_supplier_whom_nobody_knows_is_refused(place: Place) -> None:
    ended = place.run("adopt", "--supplier", "nobody@example.com")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "No supplier with this e-mail address has opened a link yet.\n"


def test_without_infactors_database_it_says_so(place: Place) -> None:
    without = {"INFACTOR_MONGODB_URL": "", "INFACTOR_MONGODB_DATABASE": ""}
    ended = place.with_settings(without).run("adopt", "--supplier", MAIL)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "INFACTOR_MONGODB_URL: not set, so there are no old rows to adopt.\n"


def test_an_infactor_that_is_away_is_one_line_without_its_password(place: Place) -> None:
    place = place.with_settings({"INFACTOR_MONGODB_URL": away("someone:hush-hush@")})
    ended = place.run("adopt", "--supplier", MAIL)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == "no MongoDB that takes writes answers at INFACTOR_MONGODB_URL\n"
