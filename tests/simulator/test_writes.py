"""Writes of the accounting API: what is stored, what is refused, what is answered twice."""

import json
from typing import Any

import httpx
import pytest

from service.simulator.clock import pacific
from tests.simulator.wire import OTHER_REALM, REALM, App, Wire, wait_until

LINE = {
    "Amount": 100,
    "DetailType": "SalesItemLineDetail",
    "SalesItemLineDetail": {"ItemRef": {"value": "1", "name": "Services"}},
}
NEW = {"Line": [LINE], "CustomerRef": {"value": "2"}}


@pytest.fixture(autouse=True)
def _connected(wire: Wire) -> None:
    wire.connect()


def _written(wire: Wire, entity: str, data: Any, **params: str) -> dict[str, Any]:
    answer = wire.write(entity.lower(), data, **params)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == [entity, "time"]
    return answer.json()[entity]


def _fault(wire: Wire, path: str, data: Any, **params: str) -> dict[str, str]:
    answer = wire.write(path, data, **params)
    assert answer.status_code == 400, answer.text
    [error] = answer.json()["Fault"]["Error"]
    return error


def _today(wire: Wire) -> str:
    return pacific(wire.simulator.clock.now()).date().isoformat()


def _invoice(wire: Wire, id_: str) -> dict[str, Any]:
    return wire.get(f"invoice/{id_}").json()["Invoice"]


def test_the_least_invoice_becomes_what_quickbooks_makes_of_it(wire: Wire) -> None:
    made = _written(wire, "Invoice", NEW | {"TxnDate": "2026-09-29"})
    meta = made.pop("MetaData")
    assert meta["CreateTime"] == meta["LastUpdatedTime"]
    assert meta["LastModifiedByRef"] == {"value": "9341455000000013"}
    assert made == {
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "AllowOnlineCreditCardPayment": False,
        "AllowOnlineACHPayment": False,
        "domain": "QBO",
        "sparse": False,
        "Id": "301",
        "SyncToken": "0",
        "DocNumber": "1044",
        "TxnDate": "2026-09-29",
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "LinkedTxn": [],
        "Line": [
            {
                "Id": "1",
                "LineNum": 1,
                "Amount": 100,
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {
                    "ItemRef": {"value": "1", "name": "Services"},
                    "ItemAccountRef": {"value": "1", "name": "Services"},
                    "TaxCodeRef": {"value": "NON"},
                },
                "CustomExtensions": [],
            },
            {"Amount": 100, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ],
        "TxnTaxDetail": {"TotalTax": 0},
        "CustomerRef": {"value": "2", "name": "Blue Heron"},
        "CustomField": [],
        "FreeFormAddress": True,
        "ShipFromAddr": {"Id": "1", "Line1": "123 Sierra Way", "Line2": "San Pablo, CA  87999"},
        "DueDate": "2026-10-29",
        "TotalAmt": 100,
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
        "Balance": 100,
    }
    assert _invoice(wire, "301")["TotalAmt"] == 100


@pytest.mark.parametrize(("later", "stamp"), [(0.55, "04:00:01-08:00"), (0, "04:00:00-08:00")])
def test_a_record_is_stamped_a_moment_after_the_answers_time(
    still: Wire, later: float, stamp: str
) -> None:
    still.http.post("/_sim/settings", json={"stamped_later": later})
    still.simulator.clock.advance(0.5)
    answer = still.write("customer", {"DisplayName": "Kestrel Logistics"}).json()
    assert answer["time"] == "2026-11-10T04:00:00.500-08:00"
    assert answer["Customer"]["MetaData"]["LastUpdatedTime"] == f"2026-11-10T{stamp}"


def test_what_no_record_of_a_company_has_is_not_added(wire: Wire) -> None:
    wire.put("CreditMemo", {"Id": "300", "TotalAmt": 7, "domain": "QBO", "CustomField": []})
    made = _written(wire, "CreditMemo", NEW)
    assert made["CustomField"] == []
    assert not {"CurrencyRef", "TxnTaxDetail"} & set(made)


def test_a_company_whose_records_are_old_gets_the_fields_of_their_time(wire: Wire) -> None:
    recent = {"FreeFormAddress", "ShipFromAddr"}
    assert recent <= set(_written(wire, "Invoice", NEW))
    wire.http.post("/_sim/settings", json={"fields": "2020"})
    old = _written(wire, "Invoice", NEW)
    assert not recent & set(old)
    assert set(old["MetaData"]) == {"CreateTime", "LastUpdatedTime"}
    assert "IsProject" not in _written(wire, "Customer", {"DisplayName": "Old Style"})
    wire.http.post("/_sim/settings", json={"fields": "2026"})
    assert _written(wire, "Customer", {"DisplayName": "New Style"})["IsProject"] is False


def test_addresses_are_the_customers_and_new_ones_are_numbered(wire: Wire) -> None:
    address = {"Line1": "4581 Finch St.", "City": "Bayshore"}
    buyer = _written(wire, "Customer", {"DisplayName": "Finch", "BillAddr": address})
    assert buyer["BillAddr"] == {"Id": "1", **address}
    ref = {"CustomerRef": {"value": buyer["Id"]}}
    first = _written(wire, "Invoice", {**NEW, **ref, "ShipAddr": {"Line1": "1 Quay"}})
    assert first["BillAddr"] == buyer["BillAddr"]
    assert first["ShipAddr"] == {"Id": "2", "Line1": "1 Quay"}
    version = {"Id": first["Id"], "SyncToken": "0"}
    full = _written(wire, "Invoice", {**NEW, **ref, **version})
    assert (full["BillAddr"], full["ShipAddr"]) == (buyer["BillAddr"], buyer["BillAddr"])


def test_a_sparse_update_fills_no_address_in(wire: Wire) -> None:
    first = _written(wire, "Invoice", NEW)
    address = {"BillAddr": {"Line1": "4581 Finch St."}}
    _written(wire, "Customer", {"Id": "2", "SyncToken": "0", "sparse": True, **address})
    version = {"Id": first["Id"], "SyncToken": "0", "sparse": True}
    assert "BillAddr" not in _written(wire, "Invoice", {**version, "PrivateNote": "n"})


def test_discounts_custom_fields_and_what_is_to_be_sent_are_completed(wire: Wire) -> None:
    crew = {"DefinitionId": "1", "Name": "Crew #", "Type": "StringType"}
    wire.put("Invoice", {"Id": "9", "CustomField": [{**crew, "StringValue": "102"}]})
    off = {"PercentBased": True, "DiscountPercent": 10}
    line = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": off, "Id": "7"}
    new = {**NEW, "Line": [LINE, line], "EmailStatus": "NeedToSend"}
    plain = _written(wire, "Invoice", new)
    assert plain["Line"][-1] == {
        "Amount": 10,
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": {
            "DiscountAccountRef": {"value": "86", "name": "Discounts given"},
            **off,
        },
    }
    assert (plain["TotalAmt"], plain["CustomField"]) == (90, [crew])
    assert plain["DeliveryInfo"] == {"DeliveryType": "Email"}
    filled = _written(
        wire, "Invoice", NEW | {"CustomField": [{"DefinitionId": "1", "StringValue": "5"}]}
    )
    assert filled["CustomField"] == [{**crew, "StringValue": "5"}]


def test_a_payment_says_what_it_pays_and_where_the_money_goes(wire: Wire) -> None:
    line = {"Amount": 60, "LinkedTxn": [{"TxnId": "9", "TxnType": "Invoice"}]}
    paid = _written(
        wire, "Payment", {"CustomerRef": {"value": "2"}, "TotalAmt": 60, "Line": [line]}
    )
    assert (paid["ProcessPayment"], paid["DepositToAccountRef"]) == (False, {"value": "4"})
    facts = [part["value"] for part in paid["Line"][0]["LineEx"]["any"]]
    assert facts == [
        {"Name": "txnId", "Value": "9"},
        {"Name": "txnOpenBalance", "Value": "100.00"},
        {"Name": "txnReferenceNumber", "Value": "999"},
    ]


def test_a_payment_of_what_the_simulator_does_not_have_can_still_be_noted_on(wire: Wire) -> None:
    links = [{"TxnId": "96", "TxnType": "JournalEntry"}]
    line = {"Amount": 60, "LinkedTxn": links}
    wire.put(
        "Payment", {"Id": "200", "CustomerRef": {"value": "2"}, "TotalAmt": 60, "Line": [line]}
    )
    version = {"Id": "200", "SyncToken": "1", "sparse": True, "PrivateNote": "by hand"}
    changed = _written(wire, "Payment", version)
    assert (changed["PrivateNote"], changed["Line"]) == ("by hand", [line])
    version = {"Id": "200", "SyncToken": "2", "sparse": True}
    more = {**version, "Line": [{**line, "Amount": 61}]}
    assert _fault(wire, "payment", more)["code"] == "2500"


def test_an_invoice_that_may_be_paid_by_card_has_its_link_when_read_but_not_in_queries(
    wire: Wire,
) -> None:
    payable = {"AllowOnlineCreditCardPayment": True, "BillEmail": {"Address": "ap@example.com"}}
    id_ = _written(wire, "Invoice", NEW | payable)["Id"]
    assert _invoice(wire, id_)["InvoiceLink"].startswith("https://")
    [row] = wire.rows(f"select * from Invoice where Id = '{id_}'")["Invoice"]
    assert "InvoiceLink" not in row


def test_vendors_estimates_and_sales_receipts_are_written_too(wire: Wire) -> None:
    vendor = _written(wire, "Vendor", {"DisplayName": "Boraski Family Store"})
    assert (vendor["Vendor1099"], vendor["PrintOnCheckName"]) == (False, "Boraski Family Store")
    estimate = _written(wire, "Estimate", NEW)
    assert (estimate["TxnStatus"], "Balance" in estimate) == ("Pending", False)
    receipt = _written(wire, "SalesReceipt", NEW)
    assert (receipt["TotalAmt"], receipt["Balance"]) == (100, 0)
    assert _fault(wire, "estimate", estimate, operation="void")["code"] == "500"


def test_with_custom_numbers_an_invoice_without_one_has_none(wire: Wire) -> None:
    wire.http.post("/_sim/settings", json={"custom_numbers": True})
    assert "DocNumber" not in _written(wire, "Invoice", NEW)


def test_a_full_update_empties_what_is_not_sent_and_a_sparse_one_keeps_it(wire: Wire) -> None:
    first = _written(wire, "Invoice", NEW | {"PrivateNote": "n", "CustomerMemo": {"value": "m"}})
    version = {"Id": first["Id"], "SyncToken": "0", "sparse": True}
    sparse = _written(wire, "Invoice", version | {"PrivateNote": "other"})
    assert (sparse["SyncToken"], sparse["PrivateNote"]) == ("1", "other")
    assert (sparse["CustomerMemo"], sparse["TotalAmt"]) == ({"value": "m"}, 100)
    assert sparse["sparse"] is False
    full = _written(wire, "Invoice", NEW | {"Id": first["Id"], "SyncToken": "1"})
    assert full["SyncToken"] == "2"
    assert not {"PrivateNote", "CustomerMemo"} & set(full)
    assert (full["DocNumber"], full["TxnDate"]) == (first["DocNumber"], _today(wire))
    assert full["MetaData"]["CreateTime"] == first["MetaData"]["CreateTime"]


def test_an_emptied_field_is_absent_not_null(wire: Wire) -> None:
    made = _written(wire, "Invoice", NEW | {"PrivateNote": "", "BillEmail": None})
    assert not {"PrivateNote", "BillEmail"} & set(made)
    version = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    assert "DocNumber" not in _written(wire, "Invoice", version | {"DocNumber": ""})


def test_a_changed_amount_keeps_what_was_paid(wire: Wire) -> None:
    wire.http.post(f"/_sim/companies/{REALM}/Invoice/145/pay", json={"amount": 69.5})
    change = {"Id": "145", "SyncToken": "0", "sparse": True, "Line": [LINE | {"Amount": 300}]}
    changed = _written(wire, "Invoice", change)
    # 269.50 in all, 169.50 of it paid, and 22 of tax beside the line.
    assert (changed["TotalAmt"], changed["Balance"]) == (322.0, 152.5)


def test_totals_count_quantities_discounts_and_tax(wire: Wire) -> None:
    sales = {"Qty": 3, "UnitPrice": 12.5, "ItemRef": {"value": "1"}}
    lines = [
        {"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sales},
        LINE,
        {
            "DetailType": "DiscountLineDetail",
            "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
        },
    ]
    made = _written(wire, "Invoice", NEW | {"Line": lines, "TxnTaxDetail": {"TotalTax": 8.25}})
    assert [line["Amount"] for line in made["Line"]] == [37.5, 100, 137.5, 13.75]
    assert made["TotalAmt"] == made["Balance"] == 132.0


def test_voiding_by_operation_leaves_the_rest(wire: Wire) -> None:
    voided = _written(wire, "Invoice", {"Id": "145", "SyncToken": "0"}, operation="void")
    assert (voided["SyncToken"], voided["TotalAmt"], voided["Balance"]) == ("1", 0, 0)
    assert (voided["PrivateNote"], voided["DocNumber"]) == ("Voided", "1043")


def test_deleting_answers_a_stub(wire: Wire) -> None:
    answer = wire.write("invoice", {"Id": "145", "SyncToken": "0"}, operation="delete")
    assert answer.json()["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": "145"}
    assert wire.get("invoice/145").status_code == 400


def test_a_payment_moves_balance_link_and_time_until_it_is_changed_or_gone(wire: Wire) -> None:
    wire.put("Invoice", {"Id": "9", "TotalAmt": 100, "Balance": 100, "SyncToken": "4"})
    before = _invoice(wire, "9")
    wire.simulator.clock.advance(2)
    links = [{"TxnId": "9", "TxnType": "Invoice"}]
    paid = {"CustomerRef": {"value": "2"}, "TotalAmt": 70}
    made = _written(wire, "Payment", paid | {"Line": [{"Amount": 60, "LinkedTxn": links}]})
    assert (made["UnappliedAmt"], made["CustomerRef"]) == (10, {"value": "2", "name": "Blue Heron"})
    after = _invoice(wire, "9")
    assert (after["Balance"], after["SyncToken"]) == (40, "4")
    assert after["LinkedTxn"] == [{"TxnId": made["Id"], "TxnType": "Payment"}]
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]

    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True}
    lines = [{"Amount": 25, "LinkedTxn": links}]
    changed = _written(wire, "Payment", change | {"Line": lines})
    assert (changed["SyncToken"], changed["UnappliedAmt"]) == ("1", 45)
    assert _invoice(wire, "9")["Balance"] == 75
    version = {"Id": made["Id"], "SyncToken": "1"}
    voided = _written(wire, "Payment", version, operation="update", include="void")
    assert (voided["TotalAmt"], voided["PrivateNote"]) == (0, "Voided")
    assert (_invoice(wire, "9")["Balance"], _invoice(wire, "9")["LinkedTxn"]) == (100, [])


def test_two_lines_of_a_payment_can_be_for_one_invoice(wire: Wire) -> None:
    links = [{"TxnId": "9", "TxnType": "Invoice"}]
    lines = [{"Amount": 30, "LinkedTxn": links}, {"Amount": 20, "LinkedTxn": links}]
    paid = {"CustomerRef": {"value": "2"}, "TotalAmt": 50, "Line": lines}
    made = _written(wire, "Payment", paid)
    assert _invoice(wire, "9")["Balance"] == 50
    wire.write("payment", {"Id": made["Id"], "SyncToken": "0"}, operation="delete")
    assert _invoice(wire, "9")["Balance"] == 100


def test_a_credit_memo_is_used_up_by_a_payment(wire: Wire) -> None:
    memo = _written(wire, "CreditMemo", NEW | {"Line": [LINE | {"Amount": 30}]})
    assert (memo["RemainingCredit"], memo["TotalAmt"]) == (30, 30)
    lines = [
        {"Amount": 30, "LinkedTxn": [{"TxnId": "9", "TxnType": "Invoice"}]},
        {"Amount": 30, "LinkedTxn": [{"TxnId": memo["Id"], "TxnType": "CreditMemo"}]},
    ]
    paid = {"CustomerRef": {"value": "2"}, "TotalAmt": 0, "Line": lines}
    assert _written(wire, "Payment", paid)["UnappliedAmt"] == 0
    assert _invoice(wire, "9")["Balance"] == 70
    used = wire.get(f"creditmemo/{memo['Id']}").json()["CreditMemo"]
    assert (used["RemainingCredit"], used["Balance"]) == (0, 0)


def test_an_invoice_that_ends_sets_its_payments_free(wire: Wire) -> None:
    pay = f"/_sim/companies/{REALM}/Invoice/9/pay"
    payment = wire.http.post(pay, json={"amount": 60}).json()["Payment"]
    wire.write("invoice", {"Id": "9", "SyncToken": "0"}, operation="void")
    free = wire.get(f"payment/{payment['Id']}").json()["Payment"]
    assert (free["UnappliedAmt"], free["Line"], free["SyncToken"]) == (60, [], "1")


def test_a_customer_gets_its_names_and_its_place(wire: Wire) -> None:
    top = _written(wire, "Customer", {"GivenName": "Dev", "FamilyName": "Patel"})
    assert (top["DisplayName"], top["Active"], top["Balance"]) == ("Dev Patel", True, 0)
    parent = {"value": top["Id"]}
    job = {"DisplayName": "Roof", "Job": True, "ParentRef": parent}
    sub = _written(wire, "Customer", job)
    assert (sub["FullyQualifiedName"], sub["Level"]) == ("Dev Patel:Roof", 1)


def test_a_customer_is_made_inactive_by_an_update_and_back(wire: Wire) -> None:
    change = {"Id": "2", "sparse": True}
    gone = _written(wire, "Customer", change | {"SyncToken": "0", "Active": False})
    assert gone["DisplayName"] == "Blue Heron (deleted)"
    assert wire.ids("select * from Customer", "Customer") == ["1"]
    back = _written(wire, "Customer", change | {"SyncToken": "1", "Active": True})
    assert (back["DisplayName"], back["SyncToken"]) == ("Blue Heron", "2")


def test_a_request_id_is_answered_the_same_and_done_once(wire: Wire) -> None:
    first = wire.write("invoice", NEW, requestid="r-1")
    wire.simulator.clock.advance(60)
    assert wire.write("invoice", NEW, requestid="r-1").content == first.content
    assert wire.write("invoice", NEW, requestid="r-2").json()["Invoice"]["Id"] == "302"
    assert wire.rows("select count(*) from Invoice") == {"totalCount": 5}
    assert _fault(wire, "invoice", NEW, requestid="x" * 51)["code"] == "2050"
    wire.put("Customer", {"Id": "2", "DisplayName": "Z"}, OTHER_REALM)
    wire.connect(OTHER_REALM)
    assert wire.write("invoice", NEW, OTHER_REALM, requestid="r-1").json()["Invoice"]["Id"] == "1"


def test_a_refused_write_is_not_remembered_by_its_request_id(wire: Wire) -> None:
    assert wire.write("invoice", {}, requestid="r-1").status_code == 400
    assert wire.write("invoice", NEW, requestid="r-1").status_code == 200


def test_a_write_whose_answer_is_lost_is_done_and_can_be_asked_again(wire: Wire) -> None:
    wire.http.post("/_sim/faults", json={"kind": "create", "lose": True, "count": 1})
    with pytest.raises(httpx.TransportError, match=r"disconnected|closed|reset"):
        wire.write("invoice", NEW, requestid="r-1")
    assert wire.write("invoice", NEW, requestid="r-1").json()["Invoice"]["Id"] == "301"
    assert wire.rows("select count(*) from Invoice") == {"totalCount": 4}


def test_writes_are_announced_like_changes_by_people(notifying: Wire, app: App) -> None:
    notifying.connect()
    made = notifying.write("invoice", NEW).json()["Invoice"]
    version = {"Id": made["Id"], "SyncToken": "0"}
    notifying.write("invoice", version | {"sparse": True, "PrivateNote": "n"})
    notifying.write("invoice", version | {"SyncToken": "1"}, operation="void")
    notifying.write("invoice", version | {"SyncToken": "2"}, operation="delete")
    wait_until(lambda: len(app.heard) == 4)
    types = [json.loads(heard.body)[0]["type"] for heard in app.heard]
    assert types == [
        "qbo.invoice.created.v1",
        "qbo.invoice.updated.v1",
        "qbo.invoice.void.v1",
        "qbo.invoice.deleted.v1",
    ]


def test_writes_are_counted_by_what_they_are(wire: Wire) -> None:
    wire.write("invoice", NEW)
    wire.write("invoice", {"Id": "301", "SyncToken": "0", "sparse": True})
    wire.write("invoice", {"Id": "301", "SyncToken": "1"}, operation="void")
    wire.write("batch", {"BatchItemRequest": []})
    assert wire.http.get("/_sim/calls").json()["by_kind"] == {
        "create": 1,
        "update": 1,
        "void": 1,
        "batch": 1,
    }
