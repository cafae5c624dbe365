"""Deliveries against people who decide at the same moment, and against workers that are late."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from service.infactor.bson import stored
from service.infactor.collection import Order, Sink
from service.infactor.document import QUICKBOOKS_OWNED, SUPPLIER
from service.infactor.mongo import InfactorDatabase
from tests.workers.delivering import Delivering
from tests.workers.world import an_invoice

_ROUNDS = 1000


def order(key: str, revision: int, amount: float, **more: Any) -> Order:
    """Return one revision of an invoice that says its amount everywhere where one can look."""
    mapped = {
        **dict.fromkeys((*QUICKBOOKS_OWNED, *SUPPLIER), ""),
        "invoiceAmount": amount,
        "purchaseAmount": amount,
        "taxAmount": amount,
        "invoiceNo": str(amount),
        "state": "invoice_created",
    }
    return Order(key=key, revision=revision, mapped=mapped, hold=None, **more)


def database_of(delivering: Delivering) -> InfactorDatabase:
    """Return the service's own client of Infactor's database."""
    infactor = delivering.world.services.infactor
    assert infactor is not None
    return infactor


def at_once(*works: Callable[[], object]) -> None:
    """Do these at the same moment, each in a thread of its own."""
    gate = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_buyers_approval_and_a_refresh_never_mix(small_delivering: Delivering) -> None:
    """A thousand times: what was approved is the old document whole, or the new one whole."""
    sink = Sink(database_of(small_delivering), withdraw=True)
    approvals = small_delivering.infactors.invoices
    ways = {"before": 0, "after": 0}
    for number in range(_ROUNDS):
        key = f"qbk-{number}"
        sink.deliver([order(key, 1, 100.0)])
        outcomes: list[Any] = []

        def refresh(key: str = key, outcomes: list[Any] = outcomes) -> None:
            outcomes.append(sink.deliver([order(key, 2, 80.0)])[key])

        def approve(key: str = key) -> None:
            approvals.update_one({"_id": key}, {"$set": {"state": "invoice_accepted"}})

        at_once(refresh, approve)
        document = approvals.find_one({"_id": key}) or {}
        seen = {document[n] for n in ("invoiceAmount", "purchaseAmount", "taxAmount")}
        refreshed = str(outcomes[0].action) == "refresh"
        assert document["state"] == "invoice_accepted"
        assert seen == ({80.0} if refreshed else {100.0})
        assert document["invoiceNo"] == ("80.0" if refreshed else "100.0")
        assert document["qbkRevision"] == (2 if refreshed else 1)
        ways["before" if refreshed else "after"] += 1
    assert min(ways.values()) > 0, ways  # both happened, or nothing was proved


def test_an_older_revision_never_replaces_a_newer_one(small_delivering: Delivering) -> None:
    infactor = database_of(small_delivering)
    sinks = [Sink(infactor, withdraw=True) for _ in range(4)]
    for number in range(50):
        key = f"qbk-{number}"
        at_once(
            *(
                lambda sink=sink, revision=revision, key=key: sink.deliver(
                    [order(key, revision, float(revision))]
                )
                for revision, sink in enumerate(sinks, start=1)
            )
        )
        document = small_delivering.infactors.invoices.find_one({"_id": key}) or {}
        assert document["qbkRevision"] == document["invoiceAmount"]
        sinks[0].deliver([order(key, 1, 1.0)])
        after = small_delivering.infactors.invoices.find_one({"_id": key}) or {}
        assert after == document


def test_equal_content_at_a_later_revision_keeps_an_older_worker_out(
    small_delivering: Delivering,
) -> None:
    """100, then 80, then 100 again: who still holds the 80 must not write it."""
    sink = Sink(database_of(small_delivering), withdraw=True)
    sink.deliver([order("qbk-a", 1, 100.0)])
    sink.deliver([order("qbk-a", 3, 100.0)])
    late = sink.deliver([order("qbk-a", 2, 80.0)])["qbk-a"]
    document = small_delivering.infactors.invoices.find_one({"_id": "qbk-a"}) or {}
    assert (document["invoiceAmount"], document["qbkRevision"]) == (100.0, 3)
    assert getattr(late, "newer", None) == 3


def test_a_late_creation_of_what_is_held_by_now_is_taken_back(
    small_delivering: Delivering,
) -> None:
    """The worker with the first revision writes only after the second one was found to be held."""
    world, infactor = small_delivering.world, database_of(small_delivering)
    world.arrive(an_invoice())
    first = small_delivering.record()
    world.arrive(an_invoice(Balance=0.0))
    small_delivering.deliver()
    assert small_delivering.receipts() == [(2, "held", None)]
    late = Order(key=first.id, revision=1, mapped=stored(first.mapped), hold=None)
    made = Sink(infactor, withdraw=True).deliver([late])
    settle_late(small_delivering, first, made)
    small_delivering.deliver()
    assert small_delivering.state()[0] == "invoice_rejected"


def settle_late(delivering: Delivering, sent: Any, made: Any) -> None:
    """Write down what a late worker did, as it would."""
    from workers.delivery.order import Parcel
    from workers.delivery.results import Settlement

    services = delivering.world.services
    company = delivering.world.connection()
    Settlement(company, [Parcel.of(sent, None, {})]).settle(services, made)


def test_a_record_that_is_behind_infactor_goes_on_counting_from_there(
    small_delivering: Delivering,
) -> None:
    """Our database was restored from a backup; Infactor has later revisions than it knows of."""
    small_delivering.arrive(an_invoice())
    small_delivering.decide(qbkRevision=9, invoiceAmount=70.0)
    small_delivering.arrive(an_invoice(TotalAmt=60.0, Balance=60.0))
    small_delivering.deliver()
    document = small_delivering.document() or {}
    assert (document["invoiceAmount"], document["qbkRevision"]) == (60.0, 10)


@pytest.mark.parametrize("gone", [True, False])
def test_a_document_deleted_by_hand_is_made_again_only_while_nobody_had_decided(
    small_delivering: Delivering, gone: bool
) -> None:
    small_delivering.arrive(an_invoice())
    if gone:
        small_delivering.decide(state="invoice_accepted")
        small_delivering.arrive(an_invoice(DocNumber="8"))
    small_delivering.infactors.invoices.delete_many({})
    small_delivering.arrive(an_invoice(DocNumber="9"))
    assert (small_delivering.document() is None) == gone
    found = [row for row in small_delivering.findings() if row[0] == "document"]
    assert found == ([("document", "critical", "there", "gone")] if gone else [])
