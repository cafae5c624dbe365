"""Adopting rows of Infactor's old import: on its real database, with both of ours."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from service.database.tables import AuditEntry, Connection, Invoice, OldId
from service.errors import ConfigurationError, InfactorAway
from service.kit import tracing
from service.kit.clock import now
from service.operations.forget import forget_company
from service.simulator.app import RunningSimulator
from service.store import connection_lifecycle, connections, forgetting, old_rows
from tests.servers import away, free_port
from tests.traces import collecting
from tests.workers import world as worlds
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice
from workers.delivery.adoption import (
    adopt_for_supplier,
    adopt_old_rows,
    ensure_adopted,
    match_again,
    rehearse,
)
from workers.schedule import poll_infactor

MAIL = "supplier@example.com"
OTHER_REALM = "9341455000000002"

Infactors = Database[dict[str, Any]]


@pytest.fixture
def world(
    simulator: RunningSimulator, migrated_url: str, mongodb_url: str, infactors: Infactors
) -> Iterator[World]:
    """The company of the simulator, connected, with Infactor's own database."""
    mongodb = {
        "INFACTOR_MONGODB_URL": mongodb_url,
        "INFACTOR_MONGODB_DATABASE": infactors.name,
    }
    with connected(simulator, migrated_url, **mongodb) as made:
        yield made


def a_row(quickbooks_id: str = "1", **fields: Any) -> dict[str, Any]:
    """A row of the old import that fits `an_invoice` with this Id."""
    return {
        "_id": ObjectId(),
        "invoiceId": f"random{quickbooks_id}",
        "source": "Quickbook",
        "qbkInvoiceId": quickbooks_id,
        "supplierEmail": MAIL,
        "invoiceNo": f"10{quickbooks_id}",
        "invoiceAmount": 100.0,
        "buyerEmail": False,
        "companyName": "Buyer Seven",
        "state": "invoice_created",
        "created": 1552000000000.0,
        **fields,
    }


def import_rows(infactors: Infactors, *rows: dict[str, Any]) -> list[str]:
    infactors.invoices.insert_many(rows)
    return [str(row["_id"]) for row in rows]


def record(world: World, *quickbooks_ids: str) -> None:
    for quickbooks_id in quickbooks_ids:
        world.put("Invoice", an_invoice(quickbooks_id))
    world.backfill()


def outcome(world: World) -> dict[tuple[str, str], tuple[str | None, bool]]:
    """Return of each invoice, by company and Id, its row and whether it is held."""
    with world.services.database.read() as session:
        rows = session.scalars(select(Invoice)).all()
    return {(i.connection_id, i.quickbooks_id): (i.adopted, i.old_rows_held) for i in rows}


def mine(world: World) -> dict[str, tuple[str | None, bool]]:
    """Return the same of the first company, by Id."""
    first = world.connection_id
    return {
        number: value for (company, number), value in outcome(world).items() if company == first
    }


def adopted_at(world: World) -> Any:
    return world.connection().adopted_at


def supplier_id(world: World) -> int:
    return world.connection().supplier_id


def test_rows_are_adopted_and_what_nobody_explains_holds_its_id(
    world: World, infactors: Infactors
) -> None:
    record(world, "1", "2", "3")
    first, copy, stranger = import_rows(
        infactors,
        a_row("1", source="quickbook"),
        a_row("1", source="QuickBooks", created=1552000000001.0),
        a_row("2", source="QUICKBOOK", invoiceNo="999"),
    )
    before = list(infactors.invoices.find())
    found = adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (first, False), "2": (None, True), "3": (None, False)}
    assert [str(row["_id"]) for row, _ in found.unexplained] == [stranger, copy]
    assert now() - adopted_at(world) < timedelta(minutes=1)
    assert list(infactors.invoices.find()) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"supplierEmail": "Supplier@example.com"},
        {"supplierEmail": "other@example.com"},
        {"source": "manual"},
        {"source": "QuickBooks Online"},
        {"source": None},
        {"_id": "qbk-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
    ],
)
def test_other_documents_are_no_old_rows(
    world: World, infactors: Infactors, fields: dict[str, Any]
) -> None:
    record(world, "1")
    import_rows(infactors, a_row("1", **fields))
    found = adopt_old_rows(world.services, world.connection_id)
    assert (found.adopted, found.unexplained, found.held) == ({}, [], frozenset())
    assert mine(world) == {"1": (None, False)}


def test_a_second_look_changes_nothing(world: World, infactors: Infactors) -> None:
    record(world, "1", "2")
    (row, *_) = import_rows(infactors, a_row("1"), a_row("1", created=1.0e13), a_row("2", items=7))
    adopt_old_rows(world.services, world.connection_id)
    before = mine(world)
    found = adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == before
    assert before["1"] == (row, False)
    assert [why for _, why in found.unexplained] == ["copy of random1; can still be financed"]


def test_a_held_id_is_free_once_its_row_is_explained(world: World, infactors: Infactors) -> None:
    record(world, "1", "2")
    row, other = import_rows(infactors, a_row("1", invoiceNo="x"), a_row("2", invoiceNo="x"))
    adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (None, True), "2": (None, True)}
    infactors.invoices.update_one({"_id": ObjectId(row)}, {"$set": {"invoiceNo": "101"}})
    infactors.invoices.delete_one({"_id": ObjectId(other)})
    adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (row, False), "2": (None, False)}


@pytest.mark.both_databases("the statements are its own")
def test_an_invoice_that_is_recorded_later_is_looked_at_before_it_is_delivered(
    world: World, infactors: Infactors
) -> None:
    record(world, "1")
    (row, strange) = import_rows(infactors, a_row("2"), a_row("3", invoiceNo="x"))
    ensure_adopted(world.services, world.connection_id, ["1"])
    assert mine(world) == {"1": (None, False)}
    looked = adopted_at(world)
    record(world, "2", "3", "4")
    ensure_adopted(world.services, world.connection_id, ["1", "4"])
    assert adopted_at(world) == looked
    ensure_adopted(world.services, world.connection_id, ["4", "3"])
    assert adopted_at(world) > looked
    assert mine(world) == {
        "1": (None, False),
        "2": (row, False),
        "3": (None, True),
        "4": (None, False),
    }
    assert strange not in {adopted for adopted, _ in mine(world).values()}


def test_a_row_that_comes_later_holds_its_invoice_before_it_is_adopted(
    world: World, infactors: Infactors
) -> None:
    """The invoice may be on its way to Infactor at this moment, as a document of our own."""
    record(world, "1", "2")
    adopt_old_rows(world.services, world.connection_id)
    (first, second) = import_rows(infactors, a_row("1"), a_row("2"))
    adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (None, True), "2": (None, True)}
    with world.services.database.read() as session:
        delivered = session.scalars(select(Invoice.id).where(Invoice.quickbooks_id == "2")).one()
    infactors.invoices.insert_one({"_id": delivered, "qbkRevision": 1})
    found = adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (first, False), "2": (None, False)}
    assert [(str(row["_id"]), why) for row, why in found.unexplained] == [
        (second, f"copy of {delivered}; can still be financed")
    ]


@pytest.mark.both_databases("the statements are its own")
def test_companies_of_one_supplier_share_their_ids_and_no_row(
    world: World, infactors: Infactors
) -> None:
    """The second company's rows hold the first one's Ids until it is recorded, too."""
    first = world.connection_id
    record(world, "1")
    mine_, theirs = import_rows(infactors, a_row("1"), a_row("1", invoiceNo="B-1"))
    adopt_old_rows(world.services, first)
    assert outcome(world) == {(first, "1"): (mine_, True)}
    second = world.connect(OTHER_REALM)
    world.put("Customer", worlds.a_customer(), realm=OTHER_REALM)
    world.put("Invoice", an_invoice("1", DocNumber="B-1"), realm=OTHER_REALM)
    world.backfill()
    ensure_adopted(world.services, second, ["1"])
    assert outcome(world) == {(first, "1"): (mine_, False), (second, "1"): (theirs, False)}


@pytest.mark.both_databases("a failed transaction ends differently")
def test_the_database_itself_refuses_to_give_a_row_to_two_invoices(world: World) -> None:
    record(world, "1", "2")
    with world.services.database.read() as session:
        one, other = session.scalars(select(Invoice.id).order_by(Invoice.id)).all()
    with pytest.raises(IntegrityError), world.services.database.write() as session:
        old_rows.adopt(session, {one: ("a" * 24, None), other: ("a" * 24, None)})


@pytest.mark.both_databases("locks work differently")
def test_two_lookers_at_once_adopt_each_row_once(world: World, infactors: Infactors) -> None:
    """What the second one has read of Infactor was true before the first one adopted."""
    record(world, "1")
    (row,) = import_rows(infactors, a_row("1"))
    other = world.another_process()
    infactor = world.services.infactor
    threads = [
        Thread(target=adopt_for_supplier, args=(services, supplier_id(world)))
        for services in (world.services, replace(other, infactor=infactor))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert mine(world) == {"1": (row, False)}


def test_a_rehearsal_says_the_same_and_changes_nothing(world: World, infactors: Infactors) -> None:
    record(world, "1", "2")
    import_rows(infactors, a_row("1"), a_row("2", invoiceNo="x"))
    rehearsed = rehearse(world.services, supplier_id(world))
    assert mine(world) == {"1": (None, False), "2": (None, False)}
    assert adopted_at(world) is None
    assert adopt_for_supplier(world.services, supplier_id(world), "cli:someone") == rehearsed
    with world.services.database.read() as session:
        (entry,) = session.scalars(select(AuditEntry)).all()
    assert (entry.actor, entry.action, entry.connection_id) == ("cli:someone", "adopt", None)
    assert entry.details == {
        "supplier": supplier_id(world),
        "adopted": 1,
        "listed": 1,
        "held": 1,
    }


@pytest.mark.both_databases("a failed transaction ends differently")
def test_a_step_that_fails_undoes_all(world: World, infactors: Infactors) -> None:
    record(world, "1")
    (row,) = import_rows(infactors, a_row("1"))
    with world.refusing("UPDATE ON connections FOR EACH ROW WHEN (NEW.adopted_at IS NOT NULL)"):
        adopt_old_rows(world.services, world.connection_id)
    assert (mine(world), adopted_at(world)) == ({"1": (None, False)}, None)
    adopt_old_rows(world.services, world.connection_id)
    assert mine(world) == {"1": (row, False)}


def test_recording_an_invoice_anew_keeps_its_row_and_its_hold(
    world: World, infactors: Infactors
) -> None:
    record(world, "1", "2")
    (row, _) = import_rows(infactors, a_row("1"), a_row("2", invoiceNo="x"))
    adopt_old_rows(world.services, world.connection_id)
    for number in ("1", "2"):
        world.arrive(an_invoice(number, TotalAmt=120.0, Balance=120.0))
    assert mine(world) == {"1": (row, False), "2": (None, True)}


@pytest.mark.both_databases("the statements are its own")
def test_a_thousand_rows_are_kept_in_a_few_statements(world: World, infactors: Infactors) -> None:
    numbers = [str(number) for number in range(1, 1201)]
    record(world, "5")
    import_rows(infactors, *(a_row(number) for number in numbers))
    found = adopt_old_rows(world.services, world.connection_id)
    assert (len(found.adopted), len(found.held)) == (1, 1199)
    with world.services.database.read() as session:
        assert len(session.scalars(select(OldId)).all()) == 1199
        assert not old_rows.were_matched(session, world.connection_id, numbers)
        assert old_rows.were_matched(session, world.connection_id, ["5"])


def test_an_adopted_invoice_is_known_by_its_documents_own_id(
    world: World, infactors: Infactors
) -> None:
    record(world, "1", "2", "3")
    (_, nameless) = import_rows(infactors, a_row("1"), a_row("2", invoiceId=None))
    adopt_old_rows(world.services, world.connection_id)
    with world.services.database.read() as session:
        found = {i.quickbooks_id: i.document_id for i in session.scalars(select(Invoice))}
    assert (found["1"], found["2"]) == ("random1", nameless)
    assert found["3"].startswith("qbk-")


def test_a_copy_is_named_after_a_document_that_infactor_has(
    delivering: Delivering, infactors: Infactors
) -> None:
    """Whose name is its `_id` where it has no other, on the first day and once it was delivered."""
    world = delivering.world
    record(world, "1")
    nameless, _ = import_rows(infactors, a_row("1", invoiceId=None), a_row("1", created=1.0e13))
    first = adopt_old_rows(world.services, world.connection_id)
    delivering.deliver()
    later = adopt_old_rows(world.services, world.connection_id)
    for found in (first, later):
        assert [why for _, why in found.unexplained] == [
            f"copy of {nameless}; can still be financed"
        ]
    (doubled,) = delivering.findings()
    assert doubled == ("document", "critical", nameless, "random1: Approval Awaited")


def test_what_was_adopted_is_still_told_once_it_was_delivered(
    delivering: Delivering, infactors: Infactors
) -> None:
    world = delivering.world
    record(world, "1", "2")
    rows = import_rows(
        infactors, a_row("1"), a_row("1", invoiceId="copy"), a_row("2", state="invoice_accepted")
    )
    delivering.deliver()
    assert infactors.invoices.count_documents({"qbkRevision": {"$exists": True}}) == 1
    for found in (
        rehearse(world.services, supplier_id(world)),
        adopt_for_supplier(world.services, supplier_id(world), "cli:someone"),
    ):
        assert {str(row["_id"]) for row in found.adopted.values()} == {rows[0], rows[2]}
        assert found.kept == found.adopted.keys()
        assert [why for _, why in found.unexplained] == ["copy of random1; can still be financed"]
    infactors.invoices.delete_one({"_id": ObjectId(rows[2])})
    gone = rehearse(world.services, supplier_id(world)).unexplained
    assert [(row["_id"], why) for row, why in gone][-1] == (
        rows[2],
        "adopted before, and gone from Infactor",
    )


class TestLooksAgain:
    def hours_later(self, delivering: Delivering, hours: int) -> None:
        delivering.change(Connection, adopted_at=now() - timedelta(hours=hours, minutes=1))
        poll_infactor(delivering.world.services)

    @pytest.mark.both_databases("the statements are its own")
    def test_an_hour_later_where_a_row_holds_an_invoice(
        self, delivering: Delivering, infactors: Infactors
    ) -> None:
        world = delivering.world
        record(world, "1")
        (row,) = import_rows(infactors, a_row("1", invoiceNo="x"))
        delivering.deliver()
        infactors.invoices.update_one({"_id": ObjectId(row)}, {"$set": {"invoiceNo": "101"}})
        self.hours_later(delivering, 0)
        assert mine(world) == {"1": (None, True)}
        self.hours_later(delivering, 1)
        assert mine(world) == {"1": (row, False)}

    def test_a_strangers_row_that_turns_up_keeps_nothing_from_being_withdrawn(
        self, delivering: Delivering, infactors: Infactors
    ) -> None:
        delivering.arrive(an_invoice("1"))
        import_rows(infactors, a_row("1", invoiceNo="x"))
        self.hours_later(delivering, 24)
        assert mine(delivering.world) == {"1": (None, False)}
        delivering.arrive(an_invoice("1", Balance=0.0))
        assert delivering.state("1")[0] == "invoice_rejected"

    def test_a_day_later_where_nothing_waits(
        self, delivering: Delivering, infactors: Infactors
    ) -> None:
        record(delivering.world, "1")
        delivering.deliver()
        import_rows(infactors, a_row("1"))
        self.hours_later(delivering, 23)
        assert delivering.found("doubled") == []
        self.hours_later(delivering, 24)
        assert len(delivering.found("doubled")) == 1

    @pytest.mark.both_databases("the statements are its own")
    def test_copies_that_can_be_financed_are_critical_until_they_are_ended(
        self, delivering: Delivering, infactors: Infactors
    ) -> None:
        record(delivering.world, "1", "2")
        import_rows(
            infactors,
            a_row("1", state="ifactor_request"),
            a_row("1", invoiceId="second"),
            a_row("1", invoiceId="third", state="invoice_accepted"),
            a_row("1", invoiceId="fourth", state="ifactor_rejected"),
            a_row("2"),
        )
        delivering.deliver()
        assert delivering.found("doubled") == [
            (
                *("document", "critical", "ifactor_request", "random1"),
                *("second: Approval Awaited; third: Approved", True),
            )
        ]
        rejected = {"$set": {"state": "invoice_rejected"}}
        infactors.invoices.update_one({"invoiceId": "third"}, rejected)
        self.hours_later(delivering, 1)
        assert delivering.found("doubled")[0][4:] == ("second: Approval Awaited", True)
        infactors.invoices.delete_one({"invoiceId": "second"})
        self.hours_later(delivering, 1)
        assert [row[5] for row in delivering.found("doubled")] == [False]

    def test_while_infactor_is_away_it_is_left_for_later(
        self, simulator: RunningSimulator, sqlite_url: str
    ) -> None:
        away = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"
        settings = {"INFACTOR_MONGODB_URL": away, "INFACTOR_MONGODB_DATABASE": "ifactor"}
        with connected(simulator, sqlite_url, **settings) as world:
            looked = now() - timedelta(days=2)
            with world.services.database.write() as session:
                session.execute(update(Connection).values(adopted_at=looked))
            match_again(world.services)
            assert adopted_at(world) == looked


def test_a_company_that_is_handed_over_is_looked_at_anew(
    world: World, infactors: Infactors
) -> None:
    record(world, "1")
    import_rows(infactors, a_row("2"))
    adopt_old_rows(world.services, world.connection_id)
    with world.services.database.write() as session:
        other = connections.ensure_supplier(session, "other@example.com", "", "", now())
        connection_lifecycle.hand_over(session, world.connection_id, other, now())
    assert adopted_at(world) is None


def test_a_forgotten_company_has_no_old_ids(world: World, infactors: Infactors) -> None:
    record(world, "1")
    import_rows(infactors, a_row("2"))
    adopt_old_rows(world.services, world.connection_id)
    with world.services.database.write() as session:
        session.execute(update(Connection).values(state="disconnected"))
        forgetting.forget_company(session, world.connection_id)
    with world.services.database.read() as session:
        assert session.scalars(select(OldId)).all() == []
    assert adopted_at(world) is None


def test_an_infactor_that_is_away_changes_nothing(
    world: World, simulator: RunningSimulator, tmp_path: Path
) -> None:
    nowhere = {
        "INFACTOR_MONGODB_URL": away(),
        "INFACTOR_MONGODB_DATABASE": "ifactor",
    }
    made = worlds.build(simulator, world.database_url, **nowhere)
    world.others.append(made.services)
    with pytest.raises(InfactorAway):
        adopt_old_rows(made.services, world.connection_id)
    assert adopted_at(world) is None


def test_without_infactors_database_there_is_nothing_to_look_at(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    with (
        connected(simulator, sqlite_url) as alone,
        pytest.raises(ConfigurationError, match="INFACTOR_MONGODB_URL: not set"),
    ):
        ensure_adopted(alone.services, alone.connection_id)


OLD_ID = "5c0000000000000000000001"


def an_old_row(**fields: Any) -> dict[str, Any]:
    """Return what Infactor's own old import wrote of invoice 1."""
    return {
        "_id": ObjectId(OLD_ID),
        "invoiceId": "3b2ozliy4mwrhptbx",
        "source": "Quickbook",
        "qbkInvoiceId": "1",
        "invoiceNo": "101",
        "invoiceAmount": 100.0,
        "purchaseAmount": 100.0,
        "buyerEmail": "buyer@example.com",
        "companyName": "Buyer Seven",
        "supplierEmail": "supplier@example.com",
        "state": "invoice_created",
        "created": 1.0,
        **fields,
    }


def test_a_row_of_the_old_import_becomes_the_invoices_document(delivering: Delivering) -> None:
    delivering.infactors.invoices.insert_one(an_old_row())
    delivering.arrive(an_invoice(DueDate="2027-01-31"))
    documents = list(delivering.infactors.invoices.find())
    assert [d["_id"] for d in documents] == [ObjectId(OLD_ID)]
    assert (documents[0]["invoiceId"], documents[0]["source"]) == ("3b2ozliy4mwrhptbx", "Quickbook")
    assert (documents[0]["payableDate"], documents[0]["qbkRevision"]) == ("2027-01-31", 1)
    assert delivering.receipts() == [(1, "refreshed", "invoice_created")]


def test_a_row_that_is_being_financed_is_adopted_as_it_stands(
    delivering: Delivering,
) -> None:
    row = an_old_row(state="ifactor_prepaid")
    delivering.infactors.invoices.insert_one(row)
    delivering.arrive(an_invoice())
    assert list(delivering.infactors.invoices.find()) == [row]
    assert delivering.receipts() == [(1, "frozen", "ifactor_prepaid")]
    delivering.arrive(an_invoice(TotalAmt=60.0, Balance=60.0))
    found = delivering.findings()
    assert ("invoiceAmount", "critical", "100", "60") in found


@pytest.mark.both_databases("the statements are its own")
def test_while_a_row_is_unexplained_its_invoice_waits(delivering: Delivering) -> None:
    stranger = an_old_row(invoiceNo="999", buyerEmail="x@example.com", invoiceAmount=1.0)
    delivering.infactors.invoices.insert_one(stranger)
    # Of a batch of which nothing is left there is nothing to trace either.
    with collecting() as collector, tracing.exporting(collector.url, "test"):
        delivering.arrive(an_invoice())
    assert "company.deliver" not in {span.name for span in collector.spans}
    assert delivering.infactors.invoices.count_documents({}) == 1
    assert delivering.record().old_rows_held
    assert delivering.receipts() == []
    delivering.infactors.invoices.delete_one({"_id": ObjectId(OLD_ID)})
    adopt_old_rows(delivering.world.services, delivering.world.connection_id)
    delivering.deliver()
    assert delivering.state() == ("invoice_created", None)


def test_an_adopted_row_that_is_gone_is_not_made_again(delivering: Delivering) -> None:
    delivering.infactors.invoices.insert_one(an_old_row())
    delivering.arrive(an_invoice())
    delivering.infactors.invoices.delete_many({})
    delivering.arrive(an_invoice(DocNumber="5"))
    assert delivering.infactors.invoices.count_documents({}) == 0
    assert ("document", "critical", "there", "gone") in delivering.findings()


@pytest.mark.both_databases("the statements are its own")
def test_a_row_that_holds_another_companys_invoice_does_not_keep_a_paid_one_offered(
    delivering: Delivering,
) -> None:
    """Both companies of the supplier have an invoice with the row's Id."""
    world = delivering.world
    first = world.connection_id
    delivering.arrive(an_invoice("1"))
    import_rows(delivering.infactors, a_row("1", invoiceNo="999"))
    second = world.connect(OTHER_REALM)
    world.put("Customer", worlds.a_customer(), realm=OTHER_REALM)
    world.put("Invoice", an_invoice("1", DocNumber="B-1"), realm=OTHER_REALM)
    world.backfill()
    delivering.deliver()
    assert outcome(world) == {(first, "1"): (None, False), (second, "1"): (None, True)}
    world.connection_id = first
    delivering.arrive(an_invoice("1", Balance=0.0))
    assert delivering.state()[0] == "invoice_rejected"


def test_a_row_does_not_keep_offered_what_was_paid_while_its_company_was_forgotten(
    delivering: Delivering,
) -> None:
    """Nothing was delivered of the invoice as it is recorded now, but its document is there."""
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    forget_company(world.services, world.connection_id, "cli:me")
    import_rows(delivering.infactors, a_row("1", invoiceNo="999"))
    world.reconnect()
    world.arrive(an_invoice("1", Balance=0.0))
    delivering.deliver()
    delivering.deliver()
    assert delivering.state()[0] == "invoice_rejected"


def test_a_row_that_a_forgotten_invoice_had_is_its_document_again_when_it_comes_back(
    delivering: Delivering,
) -> None:
    """Else the invoice would be offered twice."""
    world = delivering.world
    (row,) = import_rows(delivering.infactors, a_row("1"))
    delivering.arrive(an_invoice("1"))
    forget_company(world.services, world.connection_id, "cli:me")
    world.reconnect()
    world.arrive(an_invoice("1", Balance=0.0))
    delivering.deliver()
    delivering.deliver()
    assert mine(world) == {"1": (row, False)}
    documents = {str(d["_id"]): d["state"] for d in delivering.infactors.invoices.find()}
    assert documents == {row: "invoice_rejected"}


def test_a_row_that_another_companys_invoice_has_is_none_that_could_hold_anything(
    delivering: Delivering,
) -> None:
    world = delivering.world
    import_rows(delivering.infactors, a_row("1"))
    delivering.arrive(an_invoice("1"))
    world.connect(OTHER_REALM)
    world.put("Customer", worlds.a_customer(), realm=OTHER_REALM)
    world.put("Invoice", an_invoice("1", DocNumber="B-1"), realm=OTHER_REALM)
    world.backfill()
    delivering.deliver()
    assert mine(world) == {"1": (None, False)}
    assert delivering.infactors.invoices.count_documents({}) == 2
