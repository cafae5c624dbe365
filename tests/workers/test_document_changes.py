"""What it means that a document moved on: past a hold, or in the minutes after a change."""

from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import delete

from service.database.tables import DeliveryState, Document, Finding, Invoice, Receipt
from service.infactor.collection import DocumentState
from service.kit.clock import now
from service.simulator.app import RunningSimulator
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering, infactor_settings
from tests.workers.world import an_invoice
from workers.delivery.findings import DocumentChange, missing, moved_past_hold

MINUTES = timedelta(minutes=1)
DAYS = timedelta(days=1)


def a_change(
    before: str | None, after: str | None, hold: str | None = None, withdrawn: str | None = None
) -> DocumentChange:
    """Return a change of state of invoice 1's document, at revision 3; None where there is none."""
    up_to_date = DeliveryState(delivered_revision=3)
    return DocumentChange(
        invoice=Invoice(id="qbk-1", hold=hold, revision=3, delivery=up_to_date),
        before=None if before is None else Document(state=before, document={}, revision=3),
        after=None if after is None else DocumentState(state=after, revision=3, marks={}),
        withdrawn=withdrawn,
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (a_change("invoice_created", "invoice_accepted"), []),
        (a_change("invoice_created", "invoice_created", "paid"), []),
        (a_change("invoice_accepted", "invoice_rejected", "paid", "paid"), []),
        (a_change("invoice_created", "invoice_accepted", "paid"), ["held back: paid"]),
        (a_change("invoice_rejected", "invoice_accepted", "paid"), ["held back: paid"]),
        (a_change("invoice_rejected", "ifactor_request", None, "void"), ["withdrawn: void"]),
        (a_change("invoice_accepted", "invoice_accepted", None, "void"), ["withdrawn: void"]),
        (a_change(None, "invoice_accepted", "paid"), None),
        (a_change("invoice_accepted", "ifactor_request", "paid"), None),
        (a_change("invoice_accepted", "invoice_accepted", "paid"), None),
        (a_change("invoice_created", None, "paid"), None),
    ],
)
def test_a_document_is_past_its_hold_where_it_moved_on_while_we_held_it_back(
    change: DocumentChange, told: list[str] | None
) -> None:
    """None: what was found before stays as it is."""
    found = moved_past_hold(change, was_held=True)
    assert (None if found is None else [one.approved for one in found]) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (a_change("invoice_created", "invoice_accepted", "paid"), None),
        (a_change("invoice_rejected", "ifactor_request", "void"), None),
        (a_change("invoice_rejected", "ifactor_request", "void", "void"), ["withdrawn: void"]),
    ],
)
def test_what_may_have_moved_before_its_hold_is_not_said_to_have_moved_after_it(
    change: DocumentChange, told: list[str] | None
) -> None:
    found = moved_past_hold(change, was_held=False)
    assert (None if found is None else [one.approved for one in found]) == told


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ("invoice_created", None, 1),
        (None, None, 0),
        ("invoice_created", "invoice_created", 0),
        (None, "invoice_created", 0),
    ],
)
def test_a_document_is_missing_where_there_was_one(
    before: str | None, after: str | None, count: int
) -> None:
    assert len(missing(a_change(before, after))) == count


@pytest.mark.parametrize(
    ("state", "there", "delivered", "astray"),
    [
        ("invoice_created", 2, 3, True),
        ("invoice_created", 9, 3, True),
        ("invoice_created", 3, 3, False),
        ("invoice_created", 2, 2, False),  # the delivery is on its way
        ("invoice_accepted", 2, 3, False),  # what was decided about stays behind
    ],
)
def test_a_document_is_astray_at_another_revision_than_the_one_delivered(
    state: str, there: int, delivered: int, astray: bool
) -> None:
    so_far = DeliveryState(delivered_revision=delivered)
    change = DocumentChange(
        invoice=Invoice(id="qbk-1", revision=3, delivery=so_far),
        before=Document(state=state, document={}, revision=3),
        after=DocumentState(state=state, revision=there, marks={}),
        withdrawn=None,
    )
    assert change.astray == astray


PAID = {
    "qbkWithdrawn": "paid",
    "buyerInvoiceRemark": "Automatic, from QuickBooks: paid, not a decision of your buyer",
}


@pytest.mark.parametrize(
    ("state", "marks", "hold", "delivered", "withdraw", "told"),
    [
        ("invoice_created", {}, "paid", 3, True, True),
        ("invoice_created", {}, "paid", 3, False, False),
        ("invoice_created", {}, "paid", 2, True, False),  # the delivery is on its way
        ("invoice_created", {}, None, 3, True, False),
        ("invoice_rejected", PAID, None, 3, True, True),
        ("invoice_rejected", PAID, None, 3, False, False),
        ("invoice_rejected", PAID, "paid", 3, True, False),
        ("invoice_rejected", {}, None, 3, True, False),  # by the buyer
        ("invoice_accepted", PAID, "paid", 3, True, False),
    ],
)
def test_a_document_contradicts_the_hold_by_which_it_was_delivered(
    state: str, marks: dict[str, str], hold: str | None, delivered: int, withdraw: bool, told: bool
) -> None:
    change = DocumentChange(
        invoice=Invoice(
            id="qbk-1",
            hold=hold,
            revision=3,
            sought="buyer\n1",
            delivery=DeliveryState(delivered_revision=delivered),
        ),
        before=None,
        after=DocumentState(state=state, revision=3, marks=marks),
        withdrawn=None,
    )
    assert change.contradicts_hold(withdraw=withdraw) == told


@pytest.mark.parametrize(
    ("state", "marks", "hold", "told"),
    [("invoice_rejected", PAID, None, False), ("invoice_created", {}, "paid", True)],
)
def test_what_is_not_read_since_it_was_handed_over_is_withdrawn_and_never_offered_again(
    state: str, marks: dict[str, str], hold: str | None, told: bool
) -> None:
    """Else each poll would ask for its delivery, which offers nothing, for ever."""
    delivered = DeliveryState(delivered_revision=3)
    change = DocumentChange(
        invoice=Invoice(id="qbk-1", hold=hold, revision=3, sought="", delivery=delivered),
        before=None,
        after=DocumentState(state=state, revision=3, marks=marks),
        withdrawn=None,
    )
    assert change.contradicts_hold(withdraw=True) == told


@pytest.mark.both_databases("the statements are its own")
def test_a_withdrawn_invoice_that_moves_on_is_critical_until_it_is_back(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.poll()
    assert delivering.found("moved_on") == []
    delivering.decide(state="invoice_accepted")
    for _ in range(2):
        delivering.poll()
        delivering.deliver()
    assert delivering.found("moved_on") == [
        ("state", "critical", "invoice_accepted", "withdrawn: paid", "invoice_accepted", True)
    ]
    delivering.decide(state="ifactor_request")
    delivering.poll()
    assert delivering.found("moved_on") == [
        ("state", "critical", "ifactor_request", "withdrawn: paid", "ifactor_request", True)
    ]
    delivering.decide(state="invoice_rejected")
    delivering.poll()
    assert [row[5] for row in delivering.found("moved_on")] == [False]


def test_who_takes_our_marker_away_changes_nothing_about_what_it_said(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.infactors.invoices.update_one({}, {"$unset": {"qbkWithdrawn": ""}})
    delivering.decide(state="invoice_accepted")
    delivering.poll()
    assert [row[3] for row in delivering.found("moved_on")] == ["withdrawn: paid"]


def test_a_delivery_that_sees_it_first_tells_it_too(delivering: Delivering) -> None:
    delivering.arrive(an_invoice())
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.decide(state="invoice_accepted")
    delivering.arrive(an_invoice(Balance=0.0, DocNumber="9"))
    assert [row[:3] for row in delivering.found("moved_on")] == [
        ("state", "critical", "invoice_accepted")
    ]


def test_an_approval_before_the_hold_is_told_as_what_changed_after_it(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="invoice_accepted")
    delivering.world.arrive(an_invoice(Balance=0.0))  # not delivered yet
    delivering.poll()
    delivering.deliver()
    assert delivering.found("moved_on") == []
    assert delivering.findings() == [("balance", "critical", "100", "0")]
    delivering.arrive(an_invoice())  # the payment is undone
    assert delivering.findings() == []


def test_an_invoice_that_is_offered_against_its_hold_and_moved_on(
    simulator: RunningSimulator, infactors: Database[dict[str, Any]], sqlite_url: str
) -> None:
    """Without withdrawals it stays where it was, so that it was seen there after the hold."""
    settings = {**infactor_settings(infactors), "INFACTOR_WITHDRAW": "off"}
    with connected(simulator, sqlite_url, **settings) as world:
        delivering = Delivering(world, infactors)
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(Balance=0.0))
        assert delivering.state()[0] == "invoice_created"
        world.arrive(an_invoice(Balance=0.0, DocNumber="9"))  # not delivered yet
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        assert delivering.found("moved_on") == [
            ("state", "critical", "invoice_accepted", "held back: paid", "invoice_accepted", True)
        ]


def test_an_approved_document_that_was_never_seen_is_told_with_its_hold(
    delivering: Delivering,
) -> None:
    """As that of an adopted row, or of a delivery whose answer was lost."""
    delivering.arrive(an_invoice())
    delivering.decide(state="ifactor_prepaid")
    with delivering.world.services.database.write() as session:
        session.execute(delete(Document))
    delivering.arrive(an_invoice(Balance=0.0))
    assert delivering.found("moved_on") == []
    assert delivering.findings() == [("invoice", "critical", None, "paid")]


def test_an_invoice_paid_after_its_approval_was_never_held_back(
    delivering: Delivering,
) -> None:
    delivering.arrive(an_invoice())
    delivering.decide(state="ifactor_prepaid")
    delivering.poll()
    delivering.arrive(an_invoice(Balance=0.0))
    delivering.decide(state="invoice_paid")
    delivering.poll()
    assert delivering.found("moved_on") == []


class TestChangedBeforeApproval:
    @pytest.mark.both_databases("the statements are its own")
    def test_an_amount_written_over_just_before_the_approval(self, delivering: Delivering) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.arrive(an_invoice(TotalAmt=120.5, Balance=120.5, DueDate="2099-12-24"))
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        assert sorted(delivering.found("hurried")) == [
            ("invoiceAmount", "warning", "invoice_accepted", "100", "120.5", True),
            ("payableDate", "warning", "invoice_accepted", "2099-12-01", "2099-12-24", True),
        ]
        delivering.poll()
        assert len(delivering.found("hurried")) == 2

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({"TxnTaxDetail": {"TotalTax": 7}}, "taxAmount"),
            ({"Line": [{"Id": "1", "Amount": 1, "DetailType": "SubTotalLineDetail"}]}, "items"),
        ],
    )
    def test_every_field_that_says_how_much(
        self, delivering: Delivering, fields: dict[str, Any], name: str
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(**fields))
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        assert [row[0] for row in delivering.found("hurried")] == [name]

    @pytest.mark.parametrize("state", ["invoice_rejected", "draft", "no_such_state"])
    def test_only_an_approval_is_hurried(self, delivering: Delivering, state: str) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.decide(state=state)
        delivering.poll()
        assert delivering.found("hurried") == []

    def test_what_nobody_reads_as_money_hurries_nobody(self, delivering: Delivering) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(DocNumber="9"))
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        assert delivering.found("hurried") == []

    @pytest.mark.parametrize(("minutes", "count"), [(14, 1), (16, 0)])
    def test_a_quarter_of_an_hour_counts(
        self, delivering: Delivering, minutes: int, count: int
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.change(Receipt, at=now() - minutes * MINUTES)
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        assert len(delivering.found("hurried")) == count

    def test_a_delivery_that_sees_the_approval_first_tells_it_too(
        self, delivering: Delivering
    ) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.decide(state="invoice_accepted")
        delivering.arrive(an_invoice(TotalAmt=130.0, Balance=130.0))
        assert [row[3:5] for row in delivering.found("hurried")] == [("100", "110")]

    def test_it_closes_by_itself_after_a_week(self, delivering: Delivering) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.decide(state="invoice_accepted")
        delivering.poll()
        delivering.change(Finding, found_at=now() - 7 * DAYS + MINUTES)
        delivering.poll()
        assert delivering.findings() == [("invoiceAmount", "warning", "100", "110")]
        delivering.change(Finding, found_at=now() - 7 * DAYS - MINUTES)
        delivering.poll()
        assert delivering.findings() == []
        assert delivering.findings(history=True) == [("invoiceAmount", "warning", "100", "110")]
