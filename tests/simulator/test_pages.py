"""The simulator's own pages, used as a person would without JavaScript."""

import json
from typing import Any

import pytest

from tests.simulator.wire import REALM, App, Wire, wait_until

COMPANY = f"/companies/{REALM}"
LINES = {
    "description-0": "Hire, day",
    "qty-0": "3",
    "price-0": "10.50",
    "amount-0": "",
    "description-1": "Delivery",
    "qty-1": "",
    "price-1": "",
    "amount-1": "8.50",
    "description-2": "",
    "qty-2": "",
    "price-2": "",
    "amount-2": "",
}
FORM = {
    "customer": "2",
    "doc_number": "A-7",
    "email": "ap@example.com",
    "txn_date": "2026-11-01",
    "due_date": "2026-12-01",
    "tax": "4",
    **LINES,
}


def _invoice(wire: Wire, id_: str) -> dict[str, Any]:
    answer = wire.http.get(f"/_sim/companies/{REALM}/Invoice/{id_}")
    return answer.json().get("Invoice", {})


def test_the_first_page_says_what_this_is_and_lists_the_companies(wire: Wire) -> None:
    page = wire.http.get("/").text
    assert "QuickBooks simulator" in page
    assert "not Intuit" in page
    assert "Harborline Supply Co." in page
    assert "3 invoices" in page


def test_a_companys_invoices_are_listed_newest_change_first_in_pages(wire: Wire) -> None:
    for n in range(1000, 1060):
        wire.put("Invoice", {"Id": str(n), "DocNumber": f"N-{n}", "TotalAmt": 1, "Balance": 1})
    first = wire.http.get(COMPANY).text
    assert first.index("N-1059") < first.index("N-1058") < first.index("N-1010")
    assert "N-1009" not in first
    assert "Page 1 of 2" in first
    second = wire.http.get(COMPANY, params={"page": "2"}).text
    assert "N-1009" in second
    assert "1043" in second


def test_an_invoice_is_created_with_the_form(notifying: Wire, app: App) -> None:
    notifying.connect()
    form = notifying.http.get(f"{COMPANY}/invoices/new").text
    assert 'name="doc_number" maxlength="21" value="1044"' in form
    answer = notifying.http.post(f"{COMPANY}/invoices/new", data=FORM)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{COMPANY}?done=created"
    assert "Invoice created." in notifying.http.get(answer.headers["location"]).text
    wait_until(lambda: app.heard)
    assert json.loads(app.heard[0].body)[0]["type"] == "qbo.invoice.created.v1"
    created = _invoice(notifying, "301")
    del created["MetaData"]
    assert created == {
        "Id": "301",
        "domain": "QBO",
        "sparse": False,
        "EmailStatus": "NotSet",
        "CustomerRef": {"value": "2", "name": "Blue Heron"},
        "DocNumber": "A-7",
        "BillEmail": {"Address": "ap@example.com"},
        "TxnDate": "2026-11-01",
        "DueDate": "2026-12-01",
        "Line": [
            {
                "Description": "Hire, day",
                "Amount": 31.5,
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"UnitPrice": 10.5, "Qty": 3},
                "Id": "1",
                "LineNum": 1,
            },
            {
                "Description": "Delivery",
                "Amount": 8.5,
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {},
                "Id": "2",
                "LineNum": 2,
            },
            {"Amount": 40.0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ],
        "TxnTaxDetail": {"TotalTax": 4},
        "TotalAmt": 44.0,
        "Balance": 44.0,
        "SyncToken": "0",
    }


def test_an_invoice_is_edited_and_emptied_fields_disappear(wire: Wire) -> None:
    changes = {"email": "", "doc_number": "", "due_date": "2027-01-15", "tax": ""}
    answer = wire.http.post(f"{COMPANY}/invoices/145", data=FORM | changes)
    assert answer.headers["location"] == f"{COMPANY}?done=saved"
    saved = _invoice(wire, "145")
    assert "BillEmail" not in saved
    assert "DocNumber" not in saved
    assert (saved["DueDate"], saved["SyncToken"]) == ("2027-01-15", "1")
    # 100 of 269.50 had been paid before.
    assert (saved["TotalAmt"], saved["Balance"]) == (40.0, 0)
    assert saved["TxnTaxDetail"] == {"TotalTax": 0}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"customer": "99"}, "Choose a customer."),
        ({"qty-0": "three"}, "Quantity is not a number: three"),
        ({"tax": "NaN"}, "Tax is too large: NaN"),
        ({"due_date": "soon"}, "Due date is not a date: soon"),
        (dict.fromkeys(LINES, ""), "An invoice needs at least one line."),
        ({"qty-0": ""}, "Each line needs a quantity and a price, or an amount."),
    ],
)
def test_what_cannot_be_saved_is_said_and_stays_typed(
    wire: Wire, changes: dict[str, str], problem: str
) -> None:
    answer = wire.http.post(f"{COMPANY}/invoices/new", data=FORM | changes)
    assert answer.status_code == 400
    assert problem in answer.text
    assert 'value="A-7"' in answer.text


def test_an_invoice_is_paid_voided_sent_and_deleted_by_its_buttons(wire: Wire) -> None:
    page = wire.http.get(f"{COMPANY}/invoices/145").text
    for action in ("pay", "emailed", "void", "delete"):
        assert f'action="{COMPANY}/invoices/145/{action}"' in page

    def press(action: str, **form: str) -> int:
        return wire.http.post(f"{COMPANY}/invoices/145/{action}", data=form).status_code

    assert press("pay", amount="69.50") == 303
    assert _invoice(wire, "145")["Balance"] == 100.0
    assert "Overdue" in wire.http.get(f"{COMPANY}/invoices/145").text
    assert press("pay", amount="1,000") == 400
    assert press("pay") == 303
    assert _invoice(wire, "145")["Balance"] == 0
    assert press("emailed") == 303
    assert _invoice(wire, "145")["EmailStatus"] == "EmailSent"
    assert press("void") == 303
    assert _invoice(wire, "145")["PrivateNote"] == "Voided"
    assert press("delete") == 303
    assert _invoice(wire, "145") == {}
    assert press("void") == 404


def test_the_app_can_be_disconnected_from_the_page(wire: Wire) -> None:
    wire.connect()
    assert "Disconnect the app" in wire.http.get(COMPANY).text
    wire.http.post(f"{COMPANY}/disconnect")
    assert wire.get("invoice/145").status_code == 401
    assert "Disconnect the app" not in wire.http.get(COMPANY).text


def test_the_page_shows_the_webhooks_with_their_answers_and_the_calls(
    notifying: Wire, app: App
) -> None:
    notifying.connect()
    notifying.query("select * from Invoice")
    notifying.put("Invoice", {"Id": "9"})
    wait_until(lambda: notifying.http.get("/_sim/webhooks").json()["idle"])
    page = notifying.http.get("/").text
    assert f"{REALM} Invoice 9 updated" in page
    assert '<span class="tag delivered">delivered</span>' in page
    assert "query 1" in page


def test_names_are_escaped(wire: Wire) -> None:
    wire.put("Invoice", {"Id": "9", "DocNumber": "<script>x</script>"})
    page = wire.http.get(COMPANY).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("path", ["/companies/77", f"{COMPANY}/invoices/77", "/companies/x/y"])
def test_what_is_not_there_is_404(wire: Wire, path: str) -> None:
    assert wire.http.get(path).status_code == 404
