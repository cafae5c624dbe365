"""Connections, invoices and findings, as Infactor's own server reads them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import (
    DeliveryState,
    Document,
    Finding,
    Invoice,
    Notice,
    SettlementRow,
)
from service.kit.clock import now
from tests.builders import a_customer, a_finding, an_invoice
from tests.web.api.conftest import Api
from tests.web.conftest import OTHER, OURS, Place

THEIRS = "other@example.com"


@pytest.fixture
def book() -> dict[str, Any]:
    """A company with seven invoices, of which one is paid; and another one's with one."""
    paid = {"Balance": 0}
    ours = [an_invoice(str(n), **(paid if n == 3 else {})) for n in range(1, 8)]
    return {
        OURS: {
            "CompanyInfo": {"CompanyName": "Our Books"},
            "Customer": [a_customer()],
            "Invoice": ours,
        },
        OTHER: {
            "CompanyInfo": {"CompanyName": "Other Books"},
            "Customer": [a_customer()],
            "Invoice": [an_invoice("9", TotalAmt=1234.5, Balance=34.5)],
        },
    }


@pytest.fixture
def both(place: Place) -> tuple[str, str]:
    """Both companies' connections, imported: ours and theirs."""
    place.connect(place.browser())
    place.connect(place.browser(), place.token(THEIRS), OTHER)
    ours, theirs = (one.id for one in place.connections())
    place.imported(ours)
    place.imported(theirs)
    return ours, theirs


def change(place: Place, statement: Any) -> None:
    with place.services.database.write() as session:
        session.execute(statement)


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["quickbooks_id"] for one in found]


def in_order(place: Place, quickbooks_ids: str) -> list[str]:
    """Return these ids of one digit as lists have them: by our own, which nobody can foresee."""
    return sorted(quickbooks_ids, key=place.invoice_id)


@pytest.mark.both_databases("they sort and compare in their own ways")
class TestInvoices:
    def test_one_says_all_that_infactor_needs(self, api: Api, both: tuple[str, str]) -> None:
        (found,) = api.items("/invoices", connection=both[1])
        recorded_at, changed_at = found.pop("recorded_at"), found.pop("changed_at")
        assert recorded_at.endswith("Z")
        assert recorded_at == changed_at
        assert found == {
            "id": api.place.invoice_id("9"),
            "infactor_id": api.place.invoice_id("9"),
            "quickbooks_id": "9",
            "number": "109",
            "connection": both[1],
            "company": "Other Books",
            "supplier": THEIRS,
            "buyer": "Buyer Seven",
            "buyer_emails": ["buyer@example.com"],
            "total": "1234.50",
            "balance": "34.50",
            "currency": None,
            "issued_on": "2026-11-01",
            "due_on": "2099-12-01",
            "deleted": False,
            "state": None,
            "withdrawn": False,
            "held": True,
            "holds": [
                {
                    "code": "partly_paid",
                    "words": "partly paid",
                    "text": "34.5 of 1234.5 is left to be paid.",
                    "figures": {"balance": "34.5", "total": "1234.5"},
                    "private": False,
                }
            ],
            "warnings": [],
            "signals": [
                {
                    "code": "terms_too_long",
                    "words": "terms too long",
                    "text": "It is dated 2026-11-01 and due on 2099-12-01.",
                    "figures": {"dated": "2026-11-01", "due": "2099-12-01"},
                    "private": False,
                }
            ],
            "revision": 1,
            "delivered_revision": 0,
            "delivery_error": None,
            "approved_at": None,
        }

    def test_pages_go_by_id_and_have_each_invoice_once(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        ours, expected = (in_order(api.place, which) for which in ("1234567", "12345679"))
        assert ids(api.items("/invoices", limit=3)) == expected
        assert ids(api.items("/invoices", limit=200)) == expected
        assert ids(api.items("/invoices", limit=7, connection=both[0])) == ours

    def test_what_is_added_meanwhile_moves_no_page(self, api: Api, both: tuple[str, str]) -> None:
        query = {"connection": both[0], "limit": 3}
        first = api.get("/invoices", **query).json()
        with api.place.services.database.write() as session:
            row = session.get_one(Invoice, api.place.invoice_id("1"))
            values = {c.key: getattr(row, c.key) for c in Invoice.__table__.columns}
            for new in ("before-all", "zz-behind-all"):
                state = DeliveryState(connection_id=both[0], recorded_at=row.recorded_at)
                added = values | {"id": new, "quickbooks_id": new, "delivery": state}
                session.add(Invoice(**added))
        rest = api.items("/invoices", **query | {"after": first["next"]})
        ours = in_order(api.place, "1234567")
        assert [*ids(first["items"]), *ids(rest)] == [*ours, "zz-behind-all"]

    def test_each_filter_leaves_out_the_others(self, api: Api, both: tuple[str, str]) -> None:
        place, later = api.place, now() + timedelta(hours=1)
        change(
            place,
            update(Document)
            .where(Document.invoice_id == place.invoice_id("5"))
            .values(state="invoice_accepted", seen_at=later),
        )
        change(place, update(Invoice).where(Invoice.quickbooks_id == "6").values(recorded_at=later))
        assert ids(api.items("/invoices", supplier=THEIRS)) == ["9"]
        assert ids(api.items("/invoices", supplier="nobody@example.com")) == []
        assert ids(api.items("/invoices", connection=both[0], held=True)) == ["3"]
        assert ids(api.items("/invoices", connection=both[0], held=False)) == in_order(
            place, "124567"
        )
        assert ids(api.items("/invoices", state="invoice_accepted")) == ["5"]
        since = (later - timedelta(minutes=1)).isoformat()
        assert ids(api.items("/invoices", changed_since=since)) == in_order(place, "56")

    def test_what_is_infactor_s_in_another_supplier_s_name_is_not_this_one_s(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        place = api.place
        theirs = "(SELECT id FROM suppliers WHERE email = 'other@example.com')"
        place.do(
            f"UPDATE documents SET supplier_id = {theirs}"
            f" WHERE invoice_id = '{place.invoice_id('5')}'"
        )
        assert ids(api.items("/invoices", supplier="supplier@example.com")) == in_order(
            place, "123467"
        )
        listed = {one["quickbooks_id"]: one["supplier"] for one in api.items("/invoices")}
        assert (listed["5"], listed["6"]) == (THEIRS, "supplier@example.com")
        assert sorted(ids(api.items("/invoices", supplier=THEIRS))) == ["5", "9"]
        assert api.get(f"/invoices/{place.invoice_id('5')}").json()["supplier"] == THEIRS
        with place.services.database.write() as session:
            at = {"found_at": now(), "changed_at": now()}
            session.add(a_finding(place.invoice_id("5"), both[0], "info", **at))
        (finding,) = api.items("/findings", supplier=THEIRS)
        assert finding["number"] == "105"
        assert api.items("/findings", supplier="supplier@example.com") == []

    def test_the_file_has_history_and_originals_in_their_own_digits(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        id_ = api.place.invoice_id("1")
        answer = api.get(f"/invoices/{id_}")
        found = json.loads(answer.text, parse_float=str)
        assert (found["id"], found["total"], found["balance"]) == (id_, "100.00", "100.00")
        assert found["original"]["TotalAmt"] == "100.0"
        assert found["document"]["invoiceNo"] == "101"
        assert [one["cause"] for one in found["revisions"]] == ["backfill"]
        assert found["state"] == "invoice_created"
        assert "realm" not in answer.text

    def test_the_file_names_the_credit_that_settled_it(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        id_ = api.place.invoice_id("1")
        with api.place.services.database.write() as session:
            paper = {"source_id": "50", "number": "CN-5", "dated": "2026-11-15"}
            row = {"payment_id": "91", "kind": "credit_note", "payer": "B", "account": "Sales"}
            sums = {"amount": 30, "share": 30, "paid_on": "2026-11-30", "read_at": now()}
            session.add(SettlementRow(invoice_id=id_, **paper, **row, **sums))
        (found,) = api.get(f"/invoices/{id_}").json()["payments"]
        assert found.pop("read_at")
        assert found == {**paper, **row, "amount": "30.00", "paid_on": "2026-11-30"}

    def test_an_adopted_invoice_is_found_by_the_name_that_infactor_has_for_it(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        old = {"adopted": "5c8f2b1e9d3a4f0012ab34c1", "adopted_as": "Quickbook #1465"}
        change(api.place, update(Invoice).where(Invoice.quickbooks_id == "2").values(**old))
        assert api.get("/invoices/5c8f2b1e9d3a4f0012ab34c1").json()["quickbooks_id"] == "2"
        assert api.get("/invoices/Quickbook%20%231465").json()["quickbooks_id"] == "2"
        found = api.get(f"/invoices/{api.place.invoice_id('2')}").json()
        assert (found["id"], found["infactor_id"]) == (
            *(api.place.invoice_id("2"), "Quickbook #1465"),
        )

    def test_a_name_that_two_adopted_invoices_have_in_infactor_is_refused(
        self, api: Api, both: tuple[str, str]
    ) -> None:
        for number, key in (("2", "a" * 24), ("4", "b" * 24)):
            old = {"adopted": key, "adopted_as": "Quickbook #1465/2"}
            change(api.place, update(Invoice).where(Invoice.quickbooks_id == number).values(**old))
        answer = api.get("/findings", invoice="Quickbook #1465/2")
        assert answer.status_code == 400
        assert "send the `id` of /invoices" in answer.json()["detail"]
        listed = {one["quickbooks_id"]: one["id"] for one in api.items("/invoices")}
        assert api.get(f"/invoices/{listed['4']}").json()["quickbooks_id"] == "4"


def test_what_no_supplier_may_see_is_marked(api: Api, both: tuple[str, str]) -> None:
    twin = {
        "code": "duplicate_elsewhere",
        "figures": {"number": "7", "twin": "x", "shared": "buyer"},
    }
    change(api.place, update(Invoice).where(Invoice.quickbooks_id == "1").values(holds=[twin]))
    with api.place.services.database.write() as session:
        id_, at = api.place.invoice_id("1"), {"found_at": now(), "changed_at": now()}
        about = {"kind": "rule", "cause": "duplicate_elsewhere", "field": "duplicate_elsewhere"}
        session.add(a_finding(id_, both[0], "warning", **about, **at))
    file = api.get(f"/invoices/{api.place.invoice_id('1')}").json()
    assert [one["private"] for one in file["holds"]] == [True]
    assert [one["private"] for one in api.items("/findings")] == [True]


def test_an_invoice_that_nobody_knows_is_not_found(api: Api) -> None:
    for id_ in ("qbk-nothing", "a" * 65, "%00"):
        answer = api.get(f"/invoices/{id_}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/api/v1/docs#not-found")


@pytest.mark.both_databases("counts come from indexes of their own")
class TestConnections:
    def test_one_says_how_far_its_company_is(self, api: Api, both: tuple[str, str]) -> None:
        place = api.place
        at = now()
        with place.services.database.write() as session:
            for status, minutes in (("pending", 2), ("pending", 1), ("failed", 60)):
                session.add(
                    Notice(
                        connection_id=both[0],
                        format="legacy",
                        status=status,
                        received_at=at - timedelta(minutes=minutes),
                    )
                )
        found = api.get(f"/connections/{both[0]}").json()
        assert 120 <= found.pop("lag_seconds") < 150
        times = {name: found.pop(name) for name in list(found) if name.endswith(("_at", "_until"))}
        assert times["disconnected_at"] is times["released_at"] is None
        came = datetime.fromisoformat(times["last_webhook_at"])
        assert came == (at - timedelta(minutes=1)).astimezone(UTC)
        assert found == {
            "id": both[0],
            "company": "Our Books",
            "supplier": {"email": "supplier@example.com", "name": "Example Supplies"},
            "state": "connected",
            "paused": False,
            "problem": None,
            "invoices": {
                "recorded": 7,
                "in_infactor": 6,
                "held": 1,
                "on_the_way": 7,
                "refused": 0,
            },
            "notices": {"waiting": 2, "failed": 1},
        }

    def test_they_are_listed_by_supplier_and_state(self, api: Api, both: tuple[str, str]) -> None:
        place = api.place
        place.do(f"UPDATE connections SET state = 'disconnected' WHERE id = '{both[1]}'")
        assert [one["id"] for one in api.items("/connections", limit=1)] == sorted(both)
        for query, id_ in (
            ({"supplier": THEIRS}, both[1]),
            ({"state": "disconnected"}, both[1]),
            ({"state": "connected"}, both[0]),
        ):
            assert [one["id"] for one in api.items("/connections", **query)] == [id_]


def test_a_connection_of_another_environment_is_not_found(api: Api, company: str) -> None:
    api.place.do("UPDATE connections SET environment = 'production'")
    assert api.get(f"/connections/{company}").status_code == 404
    assert api.items("/connections") == api.items("/invoices") == api.items("/findings") == []


@pytest.mark.both_databases("they sort in their own ways")
class TestFindings:
    @pytest.fixture
    def found(self, api: Api, both: tuple[str, str]) -> list[str]:
        """Four findings: three of ours, of which one is over, and one of theirs."""
        at = datetime(2026, 11, 30, 10, tzinfo=UTC)
        rows = [
            (both[0], "1", "critical", {"approved": "100.00", "current": "90.00"}),
            (both[0], "1", "info", {"field": "overdue", "kind": "rule", "cause": "overdue"}),
            (both[0], "2", "critical", {"closed_at": at}),
            (both[1], "9", "warning", {}),
        ]
        with api.place.services.database.write() as session:
            for connection_id, number, severity, more in rows:
                id_ = api.place.invoice_id(number)
                given = {"found_at": at, "changed_at": at, **more}
                session.add(a_finding(id_, connection_id, severity, **given))
                session.flush()
        return [id_ for _, id_, *_ in rows]

    def test_they_come_the_newest_first(
        self, api: Api, found: list[str], both: tuple[str, str]
    ) -> None:
        every = api.items("/findings", limit=1)
        assert [one["number"] for one in every] == ["109", "102", "101", "101"]
        assert every[-1] == {
            "id": every[-1]["id"],
            "kind": "changed",
            "cause": "invoiceAmount",
            "severity": "critical",
            "state": "invoice_accepted",
            "fields": [
                {
                    "field": "invoiceAmount",
                    "severity": "critical",
                    "approved": "100.00",
                    "current": "90.00",
                }
            ],
            "found_at": "2026-11-30T10:00:00Z",
            "changed_at": "2026-11-30T10:00:00Z",
            "closed_at": None,
            "acknowledged_at": None,
            "note": None,
            "private": False,
            "invoice": api.place.invoice_id("1"),
            "infactor_id": api.place.invoice_id("1"),
            "number": "101",
            "connection": both[0],
            "company": "Our Books",
        }

    def test_each_filter_leaves_out_the_others(
        self, api: Api, found: list[str], both: tuple[str, str]
    ) -> None:
        for query, numbers in (
            ({"open": True}, ["109", "101", "101"]),
            ({"open": False}, ["102"]),
            ({"supplier": THEIRS}, ["109"]),
            ({"connection": both[0]}, ["102", "101", "101"]),
            ({"invoice": api.place.invoice_id("2")}, ["102"]),
            ({"severity": "critical"}, ["102", "101"]),
        ):
            assert [one["number"] for one in api.items("/findings", **query)] == numbers

    def test_a_new_one_moves_no_page(
        self, api: Api, found: list[str], both: tuple[str, str]
    ) -> None:
        first = api.get("/findings", limit=2).json()
        with api.place.services.database.write() as session:
            given = {"found_at": now(), "changed_at": now()}
            session.add(a_finding(api.place.invoice_id("4"), both[0], "info", **given))
        rest = api.items("/findings", limit=2, after=first["next"])
        assert [one["number"] for one in [*first["items"], *rest]] == ["109", "102", "101", "101"]
        with api.place.services.database.write() as session:
            assert session.query(Finding).count() == 5
