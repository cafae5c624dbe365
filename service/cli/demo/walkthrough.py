"""`demo --check`: goes through a supplier's whole flow over HTTP, and prints each step's result."""

import json
import time
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

import httpx
from sqlalchemy import select

from service.cli.console import answer
from service.cli.demo.stack import Stack
from service.database.tables import Document, Invoice, Notice
from service.domain import NoticeStatus, State
from service.queries import notices
from service.quickbooks.webhooks import sign

_PATIENCE_SECONDS = 10.0
_NEW_ID = "900001"
_SUPPLIER = "supplier@example.com"


class _NotSo(Exception):
    """A step's expectation did not hold."""


def walk_through(stack: Stack) -> bool:
    """Do all steps, print each, and return whether all succeeded."""
    walk = _Walkthrough(stack)
    started = time.monotonic()
    steps: list[tuple[str, Callable[[], str]]] = [
        ("connect a company through the consent page", walk.connect),
        ("backfill every invoice of the company", walk.backfill),
        ("an invoice created in QuickBooks arrives", walk.create),
        ("an update in QuickBooks is followed", walk.update),
        ("a void withdraws it, with a remark", walk.void),
        ("a duplicate delivery changes nothing", walk.duplicate),
        ("a bad signature is refused, nothing is stored", walk.bad_signature),
        ("an operator logs in and sees that nothing is wrong", walk.operate),
    ]
    with walk.browser:
        for number, (title, step) in enumerate(steps, 1):
            begun = time.monotonic()
            try:
                detail = step()
            except (_NotSo, httpx.HTTPError, KeyError, ValueError) as e:
                answer(f"FAILED  {number}. {title}: {e or type(e).__name__}")
                for line in stack.log("serve").splitlines():
                    answer(line)
                return False
            answer(f"ok      {number}. {title} ({time.monotonic() - begun:.1f} s): {detail}")
    answer(f"All {len(steps)} steps held in {time.monotonic() - started:.1f} s.")
    return True


class _Walkthrough:
    """The steps, as the supplier's browser, QuickBooks and Infactor see them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.browser = httpx.Client(follow_redirects=True, trust_env=False, timeout=15)
        self._realm = ""
        self._webhook = b""

    def connect(self) -> str:
        """Follow a connect link, consent, and reach the page that names the company."""
        self._sim("POST", "/_sim/consent", {"approve": True})
        url = self._stack.command("connect-url", _SUPPLIER, "--name", "Example Supplies")
        page = self.browser.get(url)
        _expect(page.status_code == httpx.codes.OK, f"the link's page answered {page.status_code}")
        landed = self.browser.post(url, data=_hidden_fields(page.text))
        _expect("/quickbook/connected/" in landed.url.path, f"ended at {landed.url.path}")
        (connection,) = self._answers("connections")
        self._realm = connection["realm_id"]
        _expect(connection["company"] in landed.text, "the page does not name the company")
        return str(connection["company"])

    def backfill(self) -> str:
        """Join the backfill that connecting started, and find every invoice."""
        (summary,) = self._answers("backfill", "--all")
        _expect(summary["failed"] == 0 and not summary["error"], f"failed: {summary}")
        _expect(summary["counted"] == summary["recorded"], "the counts differ")
        offered = len(self._answers("invoices"))
        everything = len(self._answers("invoices", "--held"))
        _expect(everything == summary["counted"], f"{everything} of {summary['counted']} arrived")
        _expect(0 < offered < everything, f"{offered} of {everything} are offered")
        return f"{everything} invoices, {offered} offered, {everything - offered} held"

    def create(self) -> str:
        self._put(TotalAmt=1250.5, Balance=1250.5)
        document = self._until(lambda d: d is not None, "the invoice has not arrived")
        _expect(str(document["invoiceAmount"]) == "1250.5", f"it says {document['invoiceAmount']}")
        _expect(document["buyerEmail"] == "buyer@example.com", "the buyer's e-mail is missing")
        return f"{document['purchaseTitle']}, {document['invoiceAmount']}"

    def update(self) -> str:
        self._put(TotalAmt=999.99, Balance=999.99)
        document = self._until(
            lambda d: d is not None and str(d["invoiceAmount"]) == "999.99",
            "the amount has not changed",
        )
        return f"now {document['invoiceAmount']}"

    def void(self) -> str:
        self._sim("POST", f"/_sim/companies/{self._realm}/Invoice/{_NEW_ID}/void")
        document = self._until(
            lambda d: d is not None and d["state"] == State.INVOICE_REJECTED, "it is still offered"
        )
        return str(document["buyerInvoiceRemark"])

    def duplicate(self) -> str:
        """Deliver one event twice: it is stored once, and counted as received two times."""
        event = {
            "specversion": "1.0",
            "id": "demo-check-event",
            "source": "intuit.ZGVtbw==",
            "type": "qbo.invoice.updated.v1",
            "time": "2026-01-01T00:00:00Z",
            "intuitentityid": _NEW_ID,
            "intuitaccountid": self._realm,
        }
        self._webhook = json.dumps([event]).encode()
        before = self._document()
        for _ in range(2):
            status = self._post(sign(self._webhook, self._stack.verifier_token))
            _expect(status == httpx.codes.OK, f"answered {status}")

        def once() -> bool:
            found = [n for n in self._notices() if n.event_id == event["id"]]
            return [(n.status, n.duplicates) for n in found] == [(NoticeStatus.DONE, 1)]

        _wait(once, "the event is not done once, with one repetition")
        _expect(self._document() == before, "the invoice has changed")
        return "one webhook event, received twice"

    def bad_signature(self) -> str:
        before = len(self._notices())
        status = self._post(sign(self._webhook, "not-the-verifier-token"))
        _expect(status == httpx.codes.UNAUTHORIZED, f"answered {status}")
        _expect(len(self._notices()) == before, "an event was stored")
        return "401"

    def operate(self) -> str:
        landed = self.browser.post(
            f"{self._stack.public_url}/ops/login",
            data={"name": self._stack.operator, "password": self._stack.password, "next": "/ops/"},
        )
        _expect(landed.url.path == "/ops/", f"ended at {landed.url.path}")
        _expect("Nothing is wrong." in landed.text, "something is wrong")
        return "the overview"

    def _put(self, **fields: Any) -> None:
        invoice = {
            "Id": _NEW_ID,
            "DocNumber": "DEMO-1",
            "DueDate": "2027-01-31",
            "BillEmail": {"Address": "buyer@example.com"},
            "CustomerRef": {"value": "1", "name": "Demo Buyer"},
            "Line": [],
            **fields,
        }
        self._sim("PUT", f"/_sim/companies/{self._realm}/Invoice", invoice)

    def _document(self) -> dict[str, Any] | None:
        with self._stack.database.read() as session:
            found = session.scalars(
                select(Document)
                .join(Invoice, Invoice.id == Document.invoice_id)
                .where(Invoice.quickbooks_id == _NEW_ID)
            ).first()
        return found.document if found else None

    def _notices(self) -> Sequence[Notice]:
        with self._stack.database.read() as session:
            return notices.newest(session, None, 1000)

    def _until(
        self, holds: Callable[[dict[str, Any] | None], bool], otherwise: str
    ) -> dict[str, Any]:
        _wait(lambda: holds(self._document()), otherwise)
        return self._document() or {}

    def _answers(self, *command: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stack.command(*command, "--json").splitlines()]

    def _post(self, signature: str) -> int:
        return self.browser.post(
            f"{self._stack.public_url}/quickbook/webhook",
            content=self._webhook,
            headers={"intuit-signature": signature, "content-type": "application/json"},
        ).status_code

    def _sim(self, method: str, path: str, body: Any = None) -> None:
        self.browser.request(
            method, f"{self._stack.simulator_url}{path}", json=body
        ).raise_for_status()


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise _NotSo(f"{otherwise} after {_PATIENCE_SECONDS:g} s")
        time.sleep(0.1)


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _NotSo(otherwise)


def _hidden_fields(page: str) -> dict[str, str]:
    """Return a form's hidden inputs, as a browser sends them."""
    fields: dict[str, str] = {}

    class Inputs(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            if tag == "input" and values.get("type") == "hidden" and values.get("name"):
                fields[str(values["name"])] = values.get("value") or ""

    Inputs().feed(page)
    return fields
