"""A full comparison with Infactor: its own documents against what was delivered."""

from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import DeliveryState, Document, Invoice
from service.domain import State
from service.infactor.mapping import invoice_id
from service.simulator.app import RunningSimulator
from tests.servers import away
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering
from tests.workers.reconciling import named, reconcile
from tests.workers.world import REALM, World, an_invoice
from workers.runs import compare_infactor

OTHER = "9341455000000002"
ENDED = ("invoice_rejected", "ifactor_rejected", "ifactor_proposal_rejected", "completed")


def compare(world: World, *, fix: bool = False) -> dict[str, Any]:
    return reconcile(world, full=True, fix=fix, cause="command")


def delivered(delivering: Delivering, count: int = 1) -> None:
    """Let invoices 1 to `count` have come as far as Infactor."""
    world = delivering.world
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, count + 1)))
    world.backfill()
    delivering.deliver()


def remove(delivering: Delivering, quickbooks_id: str) -> None:
    delivering.infactors.invoices.delete_one({"_id": invoice_id(REALM, quickbooks_id)})


def copy(delivering: Delivering, **fields: Any) -> None:
    """Let there be another row of invoice 1, as Infactor's old import leaves it."""
    row = {**(delivering.document() or {}), "source": "quickbook", **fields}
    del row["_id"], row["qbkRevision"]
    delivering.infactors.invoices.insert_one(row)


@pytest.mark.both_databases("the statements are its own")
def test_what_was_delivered_and_left_alone_is_green(delivering: Delivering) -> None:
    delivered(delivering, 3)
    delivering.arrive(an_invoice("2", Balance=0.0))  # withdrawn
    delivering.arrive(an_invoice("4", Balance=0.0))  # held, and not there
    delivering.decide("3", state="ifactor_proposed", invoiceAmount=3.0, qbkRevision=0)
    ended = compare(delivering.world)
    assert (ended["error"], ended["infactor"], ended["infactor_compared"]) == (None, [], 4)


def six_ways_to_differ(delivering: Delivering) -> None:
    delivering.world.signal_nothing()
    delivered(delivering, 6)
    delivering.decide("2", state="invoice_accepted")
    delivering.arrive(an_invoice("2", DocNumber="77"))
    copy(delivering, state="invoice_created")
    for gone in ("1", "2"):
        remove(delivering, gone)
    delivering.decide("3", invoiceAmount=90.5, items=[{"Id": "1"}])
    delivering.decide("4", qbkRevision=0)
    delivering.decide("5", qbkRevision=9)


@pytest.mark.both_databases("the statements are its own")
def test_every_difference_is_named(delivering: Delivering) -> None:
    six_ways_to_differ(delivering)
    before = list(delivering.infactors.invoices.find())
    ended = compare(delivering.world)
    rows = {(d["id"], d["kind"]): (d["number"], d["there"], d["here"]) for d in ended["infactor"]}
    also = rows.pop(("1", "doubled"))
    assert rows == {
        ("1", "missing"): ("101", "not there", "Approval Awaited"),
        ("2", "deleted in Infactor"): ("77", "not there", "Approved"),
        ("3", "edited by hand"): ("103", "invoiceAmount 90.5, items", "invoiceAmount 100, items"),
        ("4", "behind"): ("104", "revision 0", "revision 1"),
        ("5", "ahead"): ("105", "revision 9", "revision 1"),
    }
    assert also[1].startswith("also ")
    assert also[1].endswith(": Approval Awaited, amount 100")
    assert ended["differences"] == []
    assert ended["error"] is not None
    assert ended["error"].startswith("6 documents differ in Infactor: ")
    assert "101 (Id 1, missing)" in ended["error"]
    assert list(delivering.infactors.invoices.find()) == before  # it only looks


@pytest.mark.both_databases("the statements are its own")
def test_fixing_delivers_again_what_nobody_has_decided_about(delivering: Delivering) -> None:
    six_ways_to_differ(delivering)
    ended = compare(delivering.world, fix=True)
    assert sorted(named(ended["infactor"])) == [("1", "doubled"), ("2", "deleted in Infactor")]
    assert sorted(named(ended["infactor_fixed"])) == [
        ("1", "missing"),
        ("3", "edited by hand"),
        ("4", "behind"),
        ("5", "ahead"),
    ]
    for _ in range(2):
        delivering.deliver()
    assert (delivering.document("1") or {})["state"] == "invoice_created"
    assert delivering.document("2") is None
    fixed = delivering.document("3") or {}
    assert (fixed["invoiceAmount"], fixed["items"]) == (100.0, [])
    again = compare(delivering.world)
    assert sorted(named(again["infactor"])) == [("1", "doubled"), ("2", "deleted in Infactor")]


def test_an_adopted_row_that_was_removed_is_never_called_fixed(delivering: Delivering) -> None:
    """No delivery creates it again: it is another import's, and somebody took it away."""
    delivering.world.put("Invoice", an_invoice("1"))
    delivering.world.backfill()
    row = {"source": "Quickbook", "supplierEmail": "supplier@example.com", "invoiceAmount": 100.0}
    row |= {
        "qbkInvoiceId": "1",
        "invoiceNo": "101",
        "invoiceId": "a1",
        "companyName": "Buyer Seven",
    }
    delivering.infactors.invoices.insert_one({**row, "state": "invoice_created"})
    delivering.deliver()
    assert delivering.record("1").document_id == "a1"
    delivering.infactors.invoices.delete_many({})
    for _ in range(2):
        ended = compare(delivering.world, fix=True)
        assert (named(ended["infactor"]), ended["infactor_fixed"]) == (
            [("1", "deleted in Infactor")],
            [],
        )


def test_both_legs_count(delivering: Delivering) -> None:
    delivered(delivering, 2)
    remove(delivering, "1")
    with delivering.world.services.database.write() as session:
        session.execute(
            update(Invoice)
            .where(Invoice.quickbooks_id == "2")
            .values(sync_token=-1, recorded_at=Invoice.recorded_at)
        )
    ended = compare(delivering.world)
    assert ended["error"] == (
        "1 invoice differs from QuickBooks: 102 (Id 2, outdated); 1 document differs in Infactor:"
        " 101 (Id 1, missing)"
    )


def test_what_was_marked_as_delivered_and_never_came_is_missing(
    delivering: Delivering,
) -> None:
    delivering.world.arrive(an_invoice())
    with delivering.world.services.database.write() as session:
        session.execute(update(DeliveryState).values(delivered_revision=1))
    ended = compare(delivering.world, fix=True)
    assert named(ended["infactor_fixed"]) == [("1", "missing")]
    assert ended["error"] is None
    delivering.deliver()
    assert delivering.state() == ("invoice_created", None)


def test_what_is_on_its_way_is_no_difference(delivering: Delivering) -> None:
    delivered(delivering, 2)
    delivering.world.arrive(an_invoice("1", TotalAmt=90.0, Balance=90.0))
    delivering.world.arrive(an_invoice("3"))
    ended = compare(delivering.world)
    assert (ended["error"], ended["infactor"]) == (None, [])


@pytest.mark.parametrize("source", ["QuickBooks", "Quickbook", "quickbook", "QUICKBOOKS"])
def test_a_double_counts_however_its_source_is_spelt(delivering: Delivering, source: str) -> None:
    delivered(delivering)
    copy(delivering, source=source, state="ifactor_prepaid", invoiceAmount="99")
    (one,) = compare(delivering.world)["infactor"]
    assert (one["id"], one["kind"], one["here"]) == ("1", "doubled", "Approval Awaited")
    assert one["there"].endswith(": In Progress, amount 99")


@pytest.mark.parametrize(
    ("state", "doubles"),
    [
        *((state, state not in ENDED) for state in State),
        ("no_such_state", True),
    ],
)
def test_a_copy_that_can_no_longer_be_financed_is_no_difference(
    delivering: Delivering, state: str, doubles: bool
) -> None:
    delivered(delivering)
    copy(delivering, state=state)
    ended = compare(delivering.world)
    assert (len(ended["infactor"]) == 1, ended["error"] is None) == (doubles, not doubles)


def test_whoever_used_the_old_import_gets_a_green_reconcile(delivering: Delivering) -> None:
    """Of each invoice a row was adopted; the others were rejected, or are another company's."""
    world = delivering.world
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 4)))
    world.backfill()
    row = {"source": "Quickbook", "supplierEmail": "supplier@example.com", "invoiceAmount": 100.0}
    row |= {"companyName": "Buyer Seven", "buyerEmail": False}
    for number, first, second in (
        ("1", "invoice_accepted", "invoice_rejected"),
        ("2", "invoice_created", "invoice_rejected"),
        ("3", "completed", "ifactor_proposal_rejected"),
    ):
        own = {**row, "qbkInvoiceId": number, "invoiceNo": f"10{number}"}
        delivering.infactors.invoices.insert_many(
            [
                {**own, "invoiceId": f"a{number}", "state": first},
                {**own, "invoiceId": f"b{number}", "state": second},
            ]
        )
    delivering.deliver()
    strange = {**row, "qbkInvoiceId": "1", "invoiceNo": "77", "state": "invoice_created"}
    delivering.infactors.invoices.insert_one(strange)
    adopted = {number: delivering.record(number).document_id for number in ("1", "2", "3")}
    assert adopted == {"1": "a1", "2": "a2", "3": "a3"}
    for _ in range(2):
        ended = compare(world)
        assert (ended["error"], ended["infactor"]) == (None, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"supplierEmail": "other@example.com"},
        {"qbkInvoiceId": "7"},
        {"invoiceNo": "999"},
        {
            **{"invoiceAmount": 1.0, "buyerEmail": "else@example.com", "companyEmail": False},
            **{"companyName": "Somebody Else", "contactName": "Somebody Else"},
        },
    ],
    ids=["supplier", "Id", "number", "buyer and amount"],
)
def test_a_row_of_another_supplier_or_invoice_is_no_double(
    delivering: Delivering, fields: dict[str, Any]
) -> None:
    delivered(delivering)
    copy(delivering, **fields)
    assert compare(delivering.world)["infactor"] == []


def test_another_company_of_the_same_supplier_may_have_the_same_ids(
    delivering: Delivering,
) -> None:
    world = delivering.world
    delivered(delivering)
    first = world.connection_id
    world.put("Customer", {"Id": "7", "DisplayName": "Another"}, realm=OTHER)
    world.put("Invoice", an_invoice(), realm=OTHER)
    world.connect(OTHER)
    world.backfill()
    delivering.deliver()
    assert delivering.infactors.invoices.count_documents({"qbkInvoiceId": "1"}) == 2
    for connection_id in (first, world.connection_id):
        world.connection_id = connection_id
        assert compare(world)["infactor"] == []


def test_a_large_company_is_compared_in_several_steps(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_infactor, "_PAGE", 2)
    world = delivering.world
    world.put("Invoice", *(an_invoice(str(n)) for n in range(1, 24)))
    world.backfill()
    delivering.deliver()
    remove(delivering, "23")
    remove(delivering, "1")
    ended = compare(world)
    assert sorted(named(ended["infactor"])) == [("1", "missing"), ("23", "missing")]
    assert ended["infactor_compared"] == 23


def test_while_infactor_is_away_quickbooks_is_compared_all_the_same(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    settings = {
        "INFACTOR_MONGODB_URL": away(),
        "INFACTOR_MONGODB_DATABASE": "none",
    }
    with connected(simulator, sqlite_url, **settings) as world:
        world.put("Invoice", an_invoice())
        world.backfill()
        for _ in range(2):  # also while nobody may try
            ended = compare(world)
            assert (ended["state"], ended["differences"]) == ("done", [])
            assert ended["there"]["count"] == 1
            assert named(ended["infactor"]) == [("", "could not be compared")]
            assert ended["error"] == (
                "Infactor's documents could not be compared: no MongoDB that takes writes answers"
                " at INFACTOR_MONGODB_URL"
            )


def test_without_infactors_database_there_is_one_leg(world: World) -> None:
    world.put("Invoice", an_invoice())
    world.backfill()
    ended = compare(world)
    assert (ended["error"], ended["infactor"], ended["infactor_compared"]) == (None, [], None)


def test_a_withdrawn_document_that_is_gone_is_not_made_again(delivering: Delivering) -> None:
    delivered(delivering)
    delivering.arrive(an_invoice(Balance=0.0))
    remove(delivering, "1")
    ended = compare(delivering.world, fix=True)
    assert [(d["kind"], d["here"]) for d in ended["infactor"]] == [
        ("deleted in Infactor", "Rejected")
    ]
    delivering.deliver()
    assert delivering.document() is None
    with delivering.world.services.database.read() as session:
        assert session.get_one(Document, invoice_id(REALM, "1")).state == "invoice_rejected"


def test_an_approval_that_was_taken_back_since_the_last_poll_is_no_difference(
    delivering: Delivering,
) -> None:
    delivered(delivering, 1)
    delivering.decide(state="invoice_accepted")
    delivering.poll()
    delivering.deliver()
    delivering.decide(state="invoice_created")
    ended = compare(delivering.world)
    assert (ended["error"], ended["infactor"]) == (None, [])


@pytest.mark.parametrize("ended", ["completed", "ifactor_rejected", "invoice_rejected"])
def test_a_document_that_is_offered_again_after_its_end_is_delivered_again(
    delivering: Delivering, ended: str
) -> None:
    """Infactor's database was restored from a backup; no poll looks at what had ended."""
    delivering.world.signal_nothing()
    delivered(delivering, 1)
    delivering.decide(state=ended)
    delivering.poll()
    delivering.deliver()
    delivering.decide(state="invoice_created")
    delivering.poll()
    assert delivering.last_seen().state == ended
    found = compare(delivering.world, fix=True)["infactor_fixed"]
    assert [(one["kind"], one["there"]) for one in found] == [
        ("edited by hand", "Approval Awaited")
    ]
    delivering.arrive(an_invoice("1", Balance=0.0))
    assert delivering.last_seen().state == "invoice_rejected"
    assert delivering.last_seen().withdrawn
    assert delivering.state()[0] == "invoice_rejected"
    assert compare(delivering.world)["infactor"] == []
