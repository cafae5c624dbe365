"""Changing the books and the switches from outside."""

from typing import Any

import pytest

from tests.simulator.wire import REALM, Wire, wait_until

COMPANY = f"/_sim/companies/{REALM}"


def test_the_orders_are_listed(wire: Wire) -> None:
    listed = wire.http.get("/_sim").json()
    assert "PUT /_sim/companies/<realmId>/<Entity>" in listed["orders"]
    assert "429-xml" in listed["presets"]


def test_the_companies_are_listed_with_their_connection(wire: Wire) -> None:
    wire.connect()
    first, second = wire.http.get("/_sim/companies").json()["companies"]
    assert first == {
        "realmId": REALM,
        "name": "Harborline Supply Co.",
        "connected": True,
        "Customer": 3,
        "Invoice": 3,
        "Payment": 1,
        "CreditMemo": 1,
        "Estimate": 0,
        "SalesReceipt": 0,
        "Vendor": 0,
        "JournalEntry": 0,
        "Account": 0,
    }
    assert second["connected"] is False


def test_a_new_record_gets_the_next_id_and_what_real_records_have(wire: Wire) -> None:
    record = wire.put("Invoice", {"TotalAmt": 5})["Invoice"]
    # Transactions share one series of ids, and 300 is a credit memo.
    assert (record["Id"], record["SyncToken"], record["TotalAmt"]) == ("301", "0", 5)
    assert record["MetaData"]["CreateTime"] == record["MetaData"]["LastUpdatedTime"]
    assert record["MetaData"]["CreateTime"][-6:] in ("-07:00", "-08:00")


def test_replacing_moves_the_sync_token_and_the_time_and_keeps_the_creation(wire: Wire) -> None:
    record = wire.put("Invoice", {"Id": "145", "TotalAmt": 7})["Invoice"]
    assert record["SyncToken"] == "1"
    assert record["MetaData"]["CreateTime"] == "2026-09-01T08:00:00-07:00"
    assert record["MetaData"]["LastUpdatedTime"] > "2026-10-01T09:19:17-07:00"
    assert "DocNumber" not in record


def test_sync_token_and_times_stay_as_given(wire: Wire) -> None:
    meta = {
        "CreateTime": "2026-01-02T03:04:05+01:00",
        "LastUpdatedTime": "2026-01-02T03:04:06+01:00",
    }
    given = {"Id": "145", "SyncToken": "17", "MetaData": meta}
    assert wire.put("Invoice", given)["Invoice"] == given


def test_a_put_to_an_unknown_company_makes_it(wire: Wire) -> None:
    wire.put("Customer", {"DisplayName": "A"}, realm="77")
    wire.put("CompanyInfo", {"CompanyName": "Seventy-Seven"}, realm="77")
    assert wire.http.get("/_sim/companies").json()["companies"][2]["name"] == "Seventy-Seven"


def test_one_record_can_be_looked_at(wire: Wire) -> None:
    assert wire.http.get(f"{COMPANY}/Customer/2").json()["Customer"]["DisplayName"] == "Blue Heron"
    assert wire.http.get(f"{COMPANY}/Customer/99").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("Invoice", b"{", 400, "not JSON"),
        ("Invoice", b"7", 400, "Invoice[0]: must be an object, not a number"),
        ("Invoice", b'[{},{"Id":7}]', 400, "Invoice[1]: Id must be a text of digits, not 7"),
        ("Invoice", b'{"Line":{}}', 400, "Invoice[0]: Line must be a list, not an object"),
        ("Spaceship", b"{}", 404, "unknown entity 'Spaceship'"),
    ],
)
def test_a_bad_record_is_refused_and_changes_nothing(
    wire: Wire, path: str, body: bytes, status: int, error: str
) -> None:
    answer = wire.http.put(f"{COMPANY}/{path}", content=body)
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert wire.http.get("/_sim/companies").json()["companies"][0]["Invoice"] == 3


def test_a_bad_realm_id_makes_no_company(wire: Wire) -> None:
    answer = wire.http.put("/_sim/companies/abc/Invoice", json={})
    assert (answer.status_code, len(wire.simulator.companies)) == (400, 2)


def test_voiding_leaves_what_quickbooks_leaves(wire: Wire) -> None:
    before = wire.http.get(f"{COMPANY}/Invoice/145").json()["Invoice"]
    after = wire.http.post(f"{COMPANY}/Invoice/145/void").json()["Invoice"]
    changed: dict[str, Any] = {
        "SyncToken": "1",
        "PrivateNote": "Voided",
        "Line": [
            {"Amount": 0, "DetailType": "SalesItemLineDetail"},
            {"Amount": 0, "DetailType": "SubTotalLineDetail"},
        ],
        "TxnTaxDetail": {"TotalTax": 0},
        "LinkedTxn": [],
        "TotalAmt": 0,
        "Balance": 0,
        "MetaData": after["MetaData"],
    }
    assert after == before | changed
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]


def test_an_inactive_customer_is_renamed_hidden_and_still_readable(wire: Wire) -> None:
    wire.connect().http.delete(f"{COMPANY}/Customer/2")
    customer = wire.get("customer/2").json()["Customer"]
    assert (customer["Active"], customer["DisplayName"]) == (False, "Blue Heron (deleted)")
    assert wire.ids("select * from Customer", "Customer") == ["1"]


def test_a_merge_moves_the_losers_invoices_to_the_survivor(wire: Wire) -> None:
    wire.connect().http.delete(f"{COMPANY}/Customer/2", params={"mergedInto": "1"})
    invoice = wire.get("invoice/9").json()["Invoice"]
    assert invoice["CustomerRef"] == {"value": "1", "name": "O'Brien's Bakery"}
    assert wire.get("customer/2").json()["Fault"]["Error"][0]["code"] == "610"


def test_a_payment_lowers_the_balance_and_its_deletion_raises_it_again(wire: Wire) -> None:
    wire.connect()
    payment = wire.http.post(f"{COMPANY}/Invoice/145/pay", json={"amount": 69.5}).json()["Payment"]
    assert payment["TotalAmt"] == 69.5
    assert payment["Line"] == [
        {"Amount": 69.5, "LinkedTxn": [{"TxnId": "145", "TxnType": "Invoice"}]}
    ]
    paid = wire.get("invoice/145").json()["Invoice"]
    assert (paid["Balance"], paid["TotalAmt"], paid["SyncToken"]) == (100.0, 269.5, "0")
    assert paid["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert paid["MetaData"]["LastUpdatedTime"] > "2026-10-01T09:19:17-07:00"
    wire.http.delete(f"{COMPANY}/Payment/{payment['Id']}")
    restored = wire.get("invoice/145").json()["Invoice"]
    assert (restored["Balance"], restored["LinkedTxn"]) == (169.5, [])


def test_paying_more_than_is_open_is_refused(wire: Wire) -> None:
    for amount in (170, 0, -1, "NaN"):
        answer = wire.http.post(f"{COMPANY}/Invoice/145/pay", json={"amount": amount})
        assert answer.status_code == 400


def test_a_payment_that_is_put_is_applied_to_its_invoices(wire: Wire) -> None:
    linked = [{"TxnId": "9", "TxnType": "Invoice"}]
    wire.put("Payment", {"TotalAmt": 40, "Line": [{"Amount": 40, "LinkedTxn": linked}]})
    assert wire.http.get(f"{COMPANY}/Invoice/9").json()["Invoice"]["Balance"] == 60


def test_calls_are_counted_by_kind_and_company_without_token_calls(wire: Wire) -> None:
    wire.connect()
    wire.get(f"companyinfo/{REALM}")
    wire.get("invoice/145")
    wire.query("select count(*) from Invoice")
    wire.query("select * from Invoice")
    wire.get("cdc", entities="Invoice", changedSince=wire.simulator.clock.now().isoformat())
    assert wire.http.get("/_sim/calls").json() == {
        "total": 5,
        "by_kind": {"companyinfo": 1, "read": 1, "query": 2, "cdc": 1},
        "by_company": {REALM: {"total": 5, "companyinfo": 1, "read": 1, "query": 2, "cdc": 1}},
        "by_status": {"200": 5},
    }
    assert wire.http.delete("/_sim/calls").json()["total"] == 0


def test_settings_are_checked(wire: Wire) -> None:
    defaults = wire.http.get("/_sim/settings").json()
    assert (defaults["format"], defaults["void"]) == ("cloudevents", "void")
    assert defaults["retry_seconds"] == [10, 20, 30, 300, 1200, 7200, 14400, 21600]
    changed = wire.http.post("/_sim/settings", json={"void": "voided"}).json()
    assert changed == defaults | {"void": "voided"}
    for bad in ({"void": "gone"}, {"viod": "void"}, {"retry_seconds": []}, []):
        assert wire.http.post("/_sim/settings", json=bad).status_code == 400


def test_consent_for_an_unknown_company_is_refused(wire: Wire) -> None:
    answer = wire.http.post("/_sim/consent", json={"approve": True, "realmId": "77"})
    assert (answer.status_code, answer.json()) == (400, {"error": "no company 77"})


def test_the_clock_can_be_moved(wire: Wire) -> None:
    wire.connect()
    wire.http.post("/_sim/clock", json={"advance": 3600})
    assert wire.get("invoice/145").status_code == 401
    moved = wire.http.get("/_sim/clock").json()["now"]
    wait_until(lambda: wire.http.get("/_sim/clock").json()["now"] > moved)
