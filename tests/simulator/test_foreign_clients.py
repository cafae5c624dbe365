"""Clients that other people wrote, unmodified and pointed at the simulator only by address."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.simulator.books.book import Book
from tests.simulator.conftest import BOOK
from tests.simulator.wire import KEYS, REALM, REDIRECT, App, Wire, a_config, returned, wait_until
from tests.simulators import Simulators

intuitlib_client = pytest.importorskip("intuitlib.client", reason="intuit-oauth is not installed")
quickbooks = pytest.importorskip("quickbooks", reason="python-quickbooks is not installed")

from intuitlib.enums import Scopes  # noqa: E402
from intuitlib.exceptions import AuthClientError  # noqa: E402
from quickbooks.batch import batch_create, batch_delete, batch_update  # noqa: E402
from quickbooks.cdc import change_data_capture  # noqa: E402
from quickbooks.exceptions import (  # noqa: E402
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    ValidationException,
)
from quickbooks.objects import (  # noqa: E402
    CreditMemo,
    Customer,
    EmailAddress,
    Invoice,
    Payment,
    PaymentLine,
    Ref,
    SalesItemLine,
    SalesItemLineDetail,
)
from quickbooks.objects.base import LinkedTxn  # noqa: E402

TOKEN = "sim-verifier-token-0001"

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning:intuitlib.utils",
)


@pytest.fixture(autouse=True)
def _http_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # oauthlib refuses http addresses, of this machine too, without it.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def auth(wire: Wire) -> Iterator[Any]:
    """Intuit's own OAuth client, which learns every address from the discovery document."""
    discovery = f"{wire.url}/.well-known/openid_sandbox_configuration"
    with intuitlib_client.AuthClient(*KEYS, REDIRECT, discovery) as client:
        yield client


def _authorise(wire: Wire, auth: Any, *scopes: Any) -> Any:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    back = returned(wire.http.get(auth.get_authorization_url([Scopes.ACCOUNTING, *scopes])))
    assert back["state"] == auth.state_token
    auth.get_bearer_token(back["code"], realm_id=back["realmId"])
    return auth


@pytest.fixture
def books(wire: Wire, auth: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """python-quickbooks, connected to the company of the tests' book."""
    monkeypatch.setattr(quickbooks.QuickBooks, "api_url_v3", f"{wire.url}/v3")
    client = quickbooks.QuickBooks(
        auth_client=_authorise(wire, auth),
        refresh_token=auth.refresh_token,
        company_id=REALM,
        minorversion=75,
        verifier_token=TOKEN,
    )
    with client.session:
        yield client


def test_intuits_client_authorises_exchanges_refreshes_and_revokes(wire: Wire, auth: Any) -> None:
    _authorise(wire, auth)
    first = (auth.access_token, auth.refresh_token)
    assert (auth.expires_in, auth.x_refresh_token_expires_in) == (3600, 8726400)
    auth.refresh()
    assert auth.refresh_token == first[1]
    assert auth.access_token != first[0]
    wire.simulator.clock.advance(86400)
    auth.refresh()
    assert auth.refresh_token != first[1]
    with pytest.raises(AuthClientError) as refused:
        auth.refresh(refresh_token=first[1])
    assert json.loads(refused.value.content)["error"] == "invalid_grant"
    assert auth.revoke() is True
    with pytest.raises(AuthClientError) as dead:
        auth.refresh()
    assert dead.value.status_code == 400


def test_intuits_client_accepts_the_id_token_and_reads_the_user(wire: Wire, auth: Any) -> None:
    _authorise(wire, auth, Scopes.OPENID, Scopes.EMAIL, Scopes.PROFILE)
    assert auth.id_token.count(".") == 2
    assert auth.get_user_info().json() == {
        "sub": "5f4b0a2e-7d0b-4a52-9c53-simulated-user",
        "email": "amelia.okafor@example.com",
        "emailVerified": True,
        "givenName": "Amelia",
        "familyName": "Okafor",
    }


def test_without_openid_there_is_no_id_token_and_no_user(wire: Wire, auth: Any) -> None:
    _authorise(wire, auth)
    assert auth.id_token is None
    with pytest.raises(AuthClientError) as refused:
        auth.get_user_info()
    assert refused.value.status_code == 401


def test_objects_are_read_and_a_missing_one_is_named_so(books: Any) -> None:
    invoice = Invoice.get(145, qb=books)
    assert (invoice.DocNumber, invoice.TotalAmt, invoice.CustomerRef.name) == (
        "1043",
        269.5,
        "O'Brien's Bakery",
    )
    assert Customer.get(1, qb=books).DisplayName == "O'Brien's Bakery"
    assert Payment.get(200, qb=books).TotalAmt == 100
    assert CreditMemo.get(300, qb=books).TotalAmt == 7
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(77777, qb=books)


def test_objects_are_found_by_condition_by_id_and_counted(books: Any) -> None:
    assert [i.Id for i in Invoice.all(qb=books)] == ["30", "145", "9"]
    assert [i.Id for i in Invoice.all(order_by="Id DESC", max_results=2, qb=books)] == [
        "145",
        "30",
    ]
    assert [i.Id for i in Invoice.where("Balance > '100'", qb=books)] == ["145"]
    assert [i.Id for i in Invoice.where("", order_by="Id", start_position=2, qb=books)] == [
        "30",
        "145",
    ]
    assert [i.Id for i in Invoice.choose(["9", "145", "77"], qb=books)] == ["145", "9"]
    assert [c.Id for c in Customer.filter(DisplayName="O'Brien's Bakery", qb=books)] == ["1"]
    assert [c.Id for c in Customer.filter(Active=False, qb=books)] == ["3"]
    assert Invoice.count(qb=books) == 3
    assert Invoice.count("Balance = '0'", qb=books) == 1
    with pytest.raises(ValidationException) as refused:
        Invoice.where("Id > '9'", qb=books)
    assert refused.value.error_code == 4001


def test_changes_are_captured_with_what_was_deleted(wire: Wire, books: Any) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    wire.put("Invoice", [{"Id": "145", "TotalAmt": 1}])
    wire.http.delete(f"/_sim/companies/{REALM}/Invoice/30")
    found = change_data_capture([Invoice, Customer], since.isoformat(), qb=books)
    live, deleted = found.Invoice
    assert (live.Id, live.TotalAmt) == ("145", 1)
    assert (deleted.Id, deleted.status) == ("30", "Deleted")
    assert not hasattr(found, "Customer")


def _invoice(customer: Customer, amount: float) -> Invoice:
    line = SalesItemLine()
    line.Amount = amount
    line.Description = "Forklift hire"
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = Ref()
    line.SalesItemLineDetail.ItemRef.value = "1"
    invoice = Invoice()
    invoice.Line.append(line)
    invoice.CustomerRef = customer.to_ref()
    invoice.BillEmail = EmailAddress()
    invoice.BillEmail.Address = "ap@example.com"
    return invoice


def test_a_customer_and_an_invoice_are_created_changed_voided_and_deleted(books: Any) -> None:
    customer = Customer()
    customer.DisplayName = "Kestrel Logistics"
    customer = customer.save(qb=books)
    assert (customer.Id, customer.SyncToken, customer.FullyQualifiedName) == (
        "4",
        "0",
        "Kestrel Logistics",
    )
    invoice = _invoice(customer, 100).save(qb=books)
    assert (invoice.Id, invoice.SyncToken, invoice.TotalAmt, invoice.Balance) == (
        "301",
        "0",
        100,
        100,
    )
    assert [line.DetailType for line in invoice.Line] == [
        "SalesItemLineDetail",
        "SubTotalLineDetail",
    ]
    invoice.PrivateNote = "By hand"
    changed = invoice.save(qb=books)
    assert (changed.SyncToken, changed.PrivateNote, changed.TotalAmt) == ("1", "By hand", 100)
    with pytest.raises(QuickbooksException) as stale:
        invoice.save(qb=books)
    assert stale.value.error_code == 5010
    voided = changed.void(qb=books)["Invoice"]
    assert (voided["SyncToken"], voided["TotalAmt"]) == ("2", 0)
    assert voided["PrivateNote"] == "Voided - By hand"
    gone = Invoice.get(301, qb=books)
    assert gone.delete(qb=books)["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": "301"}
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(301, qb=books)


def test_a_payment_is_made_and_voided(books: Any) -> None:
    line = PaymentLine()
    line.Amount = 60
    link = LinkedTxn()
    link.TxnId, link.TxnType = "9", "Invoice"
    line.LinkedTxn.append(link)
    payment = Payment()
    payment.CustomerRef = Customer.get(2, qb=books).to_ref()
    payment.TotalAmt = 60
    payment.Line.append(line)
    payment = payment.save(qb=books)
    paid = Invoice.get(9, qb=books)
    assert (paid.Balance, paid.LinkedTxn[0].TxnId) == (40, payment.Id)
    assert payment.void(qb=books)["Payment"]["TotalAmt"] == 0
    assert Invoice.get(9, qb=books).Balance == 100


def test_the_same_request_id_creates_once(books: Any) -> None:
    first = _invoice(Customer.get(1, qb=books), 5).save(qb=books, request_id="once")
    again = _invoice(Customer.get(1, qb=books), 5).save(qb=books, request_id="once")
    assert first.Id == again.Id == "301"
    assert Invoice.count(qb=books) == 4


def test_batches_create_update_and_delete(books: Any) -> None:
    customer = Customer.get(1, qb=books)
    made = batch_create([_invoice(customer, 1), _invoice(customer, 2)], qb=books)
    assert [i.TotalAmt for i in made.successes] == [1, 2]
    for invoice in made.successes:
        invoice.DocNumber = f"B-{invoice.Id}"
    changed = batch_update(made.successes, qb=books)
    assert [i.DocNumber for i in changed.successes] == ["B-301", "B-302"]
    gone = batch_delete([*made.successes[:1], *changed.successes[1:]], qb=books)
    [fault] = gone.faults
    assert (fault.Error[0].code, fault.original_object.Id) == ("5010", "301")
    assert Invoice.count(qb=books) == 4


def test_a_dead_token_and_a_throttle_are_what_the_client_expects(wire: Wire, books: Any) -> None:
    wire.http.post("/_sim/faults", json={"preset": "429-xml", "count": 1})
    with pytest.raises(QuickbooksException, match="Error reading json response"):
        Invoice.get(145, qb=books)
    wire.http.post(f"/_sim/companies/{REALM}/disconnect")
    with pytest.raises(AuthorizationException) as refused:
        Invoice.get(145, qb=books)
    assert refused.value.error_code == 401


def test_the_clients_own_check_accepts_our_signatures(
    simulators: Simulators, app: App, books: Any
) -> None:
    with simulators.running(a_config(webhook_url=app.url), Book.of(BOOK)) as simulator:
        wire = Wire(simulator)
        with wire.http:
            wire.connect().put("Invoice", {"Id": "9"})
            wait_until(lambda: app.heard)
    [heard] = app.heard
    signature = heard.headers["intuit-signature"]
    assert books.validate_webhook_signature(heard.body.decode(), signature) is True
    assert books.validate_webhook_signature(heard.body.decode() + " ", signature) is False
