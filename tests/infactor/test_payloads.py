"""Every invoice variant of the QuickBooks reference, and what Infactor is to hold of it.

`<variant>.json` is what QuickBooks sends (the customer first, then its parents);
`<variant>.infactor.json` beside it is written by hand from the mapping table.
"""

from pathlib import Path
from typing import Any

import pytest

from service.infactor.mapping import Mapped, SupplierDetails, invoice_id, map_invoice
from service.kit import exact_json
from tests.builders import hold_of

PAYLOADS = Path(__file__).parents[1] / "payloads"
VARIANTS = sorted(p.stem for p in PAYLOADS.glob("*.json") if not p.stem.endswith(".infactor"))
REALM = "9341455000000001"
SUPPLIER = SupplierDetails("supplier@example.com", "Example Supplies", "local")


def expected(variant: str) -> Any:
    return exact_json.decode((PAYLOADS / f"{variant}.infactor.json").read_bytes())


def mapped(variant: str) -> Mapped:
    payload = exact_json.decode((PAYLOADS / f"{variant}.json").read_bytes())
    invoice = payload["Invoice"]
    return map_invoice(
        invoice, payload.get("Customer", []), SUPPLIER, invoice_id(REALM, invoice["Id"])
    )


def test_the_table_covers_the_reference() -> None:
    assert len(VARIANTS) == 42


@pytest.mark.parametrize("variant", VARIANTS)
def test_gives_the_document_in_the_order_and_digits_of_the_mapping_table(variant: str) -> None:
    document = mapped(variant).document

    assert document == expected(variant)["document"]
    assert exact_json.encode(document) == exact_json.encode(expected(variant)["document"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_gives_the_facts_that_the_record_keeps(variant: str) -> None:
    result = mapped(variant)

    assert {
        "doc_number": result.doc_number,
        "total": result.total,
        "balance": result.balance,
        "currency": result.currency,
        "customer_id": result.customer_id,
        "buyer_emails": list(result.buyer_emails),
        "voided": result.voided,
        "txn_date": result.txn_date.isoformat() if result.txn_date else None,
        "due_date": result.due_date.isoformat() if result.due_date else None,
    } == expected(variant)["facts"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_warns_of_what_the_supplier_should_mend(variant: str) -> None:
    assert [w.code.value for w in mapped(variant).warnings] == expected(variant)["warnings"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_held_for_the_reason_that_its_figures_give(variant: str) -> None:
    hold = hold_of(mapped(variant))
    assert (hold.value if hold else None) == expected(variant)["hold"]
