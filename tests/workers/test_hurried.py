"""An approval within minutes of a change: the buyer's page may have shown the old amount."""

from datetime import timedelta
from typing import Any

import pytest

from service.database.tables import Finding, Receipt
from service.kit.clock import now
from tests.workers.delivering import Delivering
from tests.workers.looking import change, found, look_at
from tests.workers.world import an_invoice

MINUTES = timedelta(minutes=1)
DAYS = timedelta(days=1)


class TestHurried:
    def test_an_amount_written_over_just_before_the_approval(self, delivering: Delivering) -> None:
        delivering.arrive(an_invoice())
        delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        delivering.arrive(an_invoice(TotalAmt=120.5, Balance=120.5, DueDate="2026-12-24"))
        delivering.decide(state="invoice_accepted")
        look_at(delivering)
        assert sorted(found(delivering, "hurried")) == [
            ("invoiceAmount", "warning", "invoice_accepted", "100", "120.5", True),
            ("payableDate", "warning", "invoice_accepted", "2026-12-01", "2026-12-24", True),
        ]
        look_at(delivering)
        assert len(found(delivering, "hurried")) == 2

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({"TxnTaxDetail": {"TotalTax": 7}}, "taxAmount"),
            ({"Line": [{"Id": "1", "Amount": 1, "DetailType": "SubTotalLineDetail"}]}, "items"),
        ],
    )
    def test_every_field_that_says_how_much(
        self, small_delivering: Delivering, fields: dict[str, Any], name: str
    ) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(**fields))
        small_delivering.decide(state="invoice_accepted")
        look_at(small_delivering)
        assert [row[0] for row in found(small_delivering, "hurried")] == [name]

    @pytest.mark.parametrize("state", ["invoice_rejected", "draft", "no_such_state"])
    def test_only_an_approval_is_hurried(self, small_delivering: Delivering, state: str) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        small_delivering.decide(state=state)
        look_at(small_delivering)
        assert found(small_delivering, "hurried") == []

    def test_what_nobody_reads_as_money_hurries_nobody(self, small_delivering: Delivering) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(DocNumber="9"))
        small_delivering.decide(state="invoice_accepted")
        look_at(small_delivering)
        assert found(small_delivering, "hurried") == []

    @pytest.mark.parametrize(("minutes", "count"), [(14, 1), (16, 0)])
    def test_a_quarter_of_an_hour_counts(
        self, small_delivering: Delivering, minutes: int, count: int
    ) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        change(small_delivering, Receipt, at=now() - minutes * MINUTES)
        small_delivering.decide(state="invoice_accepted")
        look_at(small_delivering)
        assert len(found(small_delivering, "hurried")) == count

    def test_a_delivery_that_sees_the_approval_first_tells_it_too(
        self, small_delivering: Delivering
    ) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        small_delivering.decide(state="invoice_accepted")
        small_delivering.arrive(an_invoice(TotalAmt=130.0, Balance=130.0))
        assert [row[3:5] for row in found(small_delivering, "hurried")] == [("100", "110")]

    def test_it_closes_by_itself_after_a_week(self, small_delivering: Delivering) -> None:
        small_delivering.arrive(an_invoice())
        small_delivering.arrive(an_invoice(TotalAmt=110.0, Balance=110.0))
        small_delivering.decide(state="invoice_accepted")
        look_at(small_delivering)
        change(small_delivering, Finding, found_at=now() - 7 * DAYS + MINUTES)
        look_at(small_delivering)
        assert small_delivering.findings() == [("invoiceAmount", "warning", "100", "110")]
        change(small_delivering, Finding, found_at=now() - 7 * DAYS - MINUTES)
        look_at(small_delivering)
        assert small_delivering.findings() == []
        assert small_delivering.findings(history=True) == [
            ("invoiceAmount", "warning", "100", "110")
        ]
