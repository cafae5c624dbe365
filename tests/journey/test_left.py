"""A supplier leaves inside QuickBooks, voids an invoice and comes back: it is not offered again."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.domain import RuleCode
from service.infactor.rules import catalogue
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book
from tests.servers import PATIENCE, wait_until

SECONDS = 60


def states(made: Deployment) -> dict[str, int]:
    """Return how many of the supplier's invoices Infactor has in each state."""
    rows = made.rows("invoices", "--supplier", "supplier@example.com")
    return dict(Counter(document["state"] for document in rows))


def leave(made: Deployment) -> None:
    """Disconnect the app, void an invoice, and let the browser go where Intuit sends it."""
    made.sim("POST", f"/companies/{REALM}/disconnect")
    made.sim("POST", f"/companies/{REALM}/Invoice/7/void")
    url = f"{made.receivers[0]}/quickbook/disconnected?realmId={REALM}"
    assert httpx.get(url, follow_redirects=True, timeout=PATIENCE).status_code == 200


def lose_the_webhook_and_leave(made: Deployment) -> None:
    """Void an invoice of which no webhook comes; then disconnect the app, unseen by anybody.

    Another company's event finds nothing, but one of this company still comes.
    """
    made.sim("POST", "/webhooks/next", {"action": "drop"})
    made.sim("POST", f"/companies/{REALM}/Invoice/7/void")
    made.sim("POST", f"/companies/{REALM}/disconnect")
    event = {"company": REALM, "entity": "Invoice", "id": "8", "operation": "updated"}
    made.sim("POST", "/webhooks/events", [event])


def leave_while_the_service_is_down(made: Deployment) -> None:
    """Nobody hears of it: neither the address nor a webhook reaches a service that is down."""
    made.stop()
    made.sim("POST", f"/companies/{REALM}/disconnect")
    made.sim("POST", f"/companies/{REALM}/Invoice/7/void")
    with sqlite3.connect(made.folder / "journey.db") as database:
        database.execute("UPDATE heartbeats SET at = at - 600")
    database.close()
    made.start("serve-0", *made.started["serve-0"])
    wait_until(lambda: made.serves(made.receivers[0]), 120, "the service")


@pytest.mark.slow
@pytest.mark.parametrize(
    "leaves", [leave, lose_the_webhook_and_leave, leave_while_the_service_is_down]
)
def test_what_a_supplier_voids_after_leaving_is_never_offered_again(
    tmp_path: Path, leaves: Callable[[Deployment], None]
) -> None:
    with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/journey.db") as made:
        made.connect(REALM)
        wait_until(lambda: states(made) == {"invoice_created": 30}, SECONDS, "the import")
        leaves(made)
        # All thirty, though an operator has to confirm more than four at once.
        wait_until(lambda: states(made) == {"invoice_rejected": 30}, SECONDS, "the withdrawal")
        document = made.document("7") or {}
        assert document["buyerInvoiceRemark"] == catalogue.remark(
            catalogue.public(RuleCode.UNPROVEN)
        )
        made.connect(REALM)
        wait_until(
            lambda: states(made) == {"invoice_created": 29, "invoice_rejected": 1},
            SECONDS,
            "what is true",
        )
        assert (made.document("7") or {})["state"] == "invoice_rejected"
        wait_until(lambda: not made.try_command("status", "--json")[0]["wrong"], SECONDS, "calm")
