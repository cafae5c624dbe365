"""`reconcile`, as an operator types it, against a running service on SQLite."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from service.kit.clock import now
from tests import builders
from tests.cli.place import Place
from tests.journey.deployment import Deployment, deployed
from tests.servers import wait_until
from tests.workers.delivering import infactor_settings

REALM = "9341455000000066"


def an_invoice(quickbooks_id: str, **fields: Any) -> dict[str, Any]:
    given = {"DocNumber": f"R-{quickbooks_id}", "TotalAmt": 1000.5, "Balance": 1000.5}
    return builders.an_invoice(quickbooks_id, **{**given, **fields})


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A service with one connected company of three invoices, whose webhooks are all lost."""
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Reconciled Company"},
            "Customer": [{"Id": "7", "DisplayName": "Buyer", "Active": True}],
            "Invoice": [an_invoice("1"), an_invoice("2", Balance=0), an_invoice("3")],
        }
    }
    with deployed(tmp_path, book, f"sqlite:///{tmp_path}/reconcile.db") as made:
        made.sim("POST", "/settings", {"webhooks": "off"})
        made.connect(REALM)
        made.command("backfill", "--all")
        yield made


def test_a_difference_is_named_and_fixed(deployment: Deployment) -> None:
    (green,) = deployment.rows("reconcile", "--all")
    sums = {"count": 3, "total": 3001.5, "balance": 2001}
    assert (green["quickbooks"], green["recorded"]) == (sums, sums)
    assert (green["differences"], green["error"]) == ([], None)

    changed = an_invoice("1", TotalAmt=900, Balance=900)
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", [changed, an_invoice("4")])
    deployment.sim("DELETE", f"/companies/{REALM}/Invoice/3")
    (red,) = deployment.rows("reconcile", "--company", REALM, status=1)
    assert [(d["id"], d["kind"]) for d in red["differences"]] == [
        ("1", "outdated"),
        ("4", "missing"),
        ("3", "deleted in QuickBooks"),
    ]
    assert len(deployment.rows("invoices", "--held")) == 3  # it only looked

    said = deployment.command("reconcile", "--connection", red["connection"], "--fix")
    assert "Reconciled Company: fixed" in said
    assert "2,901.00" in said
    (fixed,) = deployment.rows("reconcile", "--all")
    sums = {"count": 3, "total": 2901, "balance": 1900.5}
    assert (fixed["quickbooks"], fixed["recorded"]) == (sums, sums)
    assert deployment.document("4") is not None

    deployment.command("backfill", "--all", "--invoice", "4")
    audit = [(row["action"], row["details"]) for row in reversed(deployment.rows("audit"))]
    assert [action for action, _ in audit] == ["backfill", *["reconcile"] * 4, "backfill"]
    assert [details["fix"] for action, details in audit if action == "reconcile"] == [
        *(False, False),
        *(True, False),
    ]


@pytest.mark.parametrize("of", ["the company", "the run"])
def test_a_company_that_quickbooks_wants_left_alone_is_not_waited_for(
    deployment: Deployment, of: str
) -> None:
    """For a quarter of an hour at most, whatever QuickBooks asks for."""
    asked = {"status": 503, "headers": {"Retry-After": "86400"}, "kind": "query", "count": 1}
    deployment.sim("POST", "/faults", asked)
    if of == "the company":
        (left,) = deployment.rows("sync", "--all", status=1)
        assert "; to try at once: infactor-quickbooks connections retry" in left["error"]
    for command in (("reconcile", "--all", "--fix"), ("backfill", "--all")):
        (row,) = deployment.rows(*command, status=1)
        waits = re.fullmatch(
            r"waits until (.*) UTC: QuickBooks is down \(HTTP 503\).*\. It continues"
            r" automatically; to try at once:"
            r" infactor-quickbooks connections retry --connection \w{32}",
            row["error"],
        )
        assert waits is not None, row["error"]
        until = datetime.strptime(waits[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        assert until - now() <= timedelta(minutes=15)
        if of == "the run":
            break
    assert "Reconciled Company: waits until" in deployment.logs()
    deployment.command("connections", "retry", "--company", REALM)
    (green,) = deployment.rows("reconcile", "--all", "--fix")
    assert green["error"] is None


def test_what_quickbooks_cannot_show_is_no_dead_end(deployment: Deployment) -> None:
    bad = {"company": REALM, "entity": "Invoice", "id": "2", "fault": "4002"}
    deployment.sim("POST", "/poison", [bad])
    advice = (
        "Ask the supplier to open and save this invoice in QuickBooks, or contact Intuit's support"
        " with the intuit_tid of the failed event"
    )
    (red,) = deployment.rows("reconcile", "--all", status=1)
    assert red["advice"] == f"`reconcile --fix` fixes what can be fixed. {advice}"
    (red,) = deployment.rows("reconcile", "--all", "--fix", status=1)
    assert [(d["id"], d["number"], d["kind"]) for d in red["differences"]] == [
        ("2", "R-2", "unreadable")
    ]
    assert (red["error"], red["advice"]) == (
        "QuickBooks cannot show 1 invoice: R-2 (Id 2)",
        advice,
    )


def test_infactors_own_documents_are_compared_and_fixed_too(
    tmp_path: Path, infactors: Database[dict[str, Any]]
) -> None:
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Reconciled Company"},
            "Customer": [{"Id": "7", "DisplayName": "Buyer", "Active": True}],
            "Invoice": [an_invoice("1"), an_invoice("2")],
        }
    }
    infactors.users.insert_one(
        {"email": "supplier@example.com", "type": "Supplier", "accountStatus": "verified"}
    )
    url = f"sqlite:///{tmp_path}/reconcile.db"
    with deployed(tmp_path, book, url, settings=infactor_settings(infactors)) as made:
        made.sim("POST", "/settings", {"webhooks": "off"})
        made.connect(REALM)
        made.command("backfill", "--all")
        wait_until(lambda: infactors.invoices.count_documents({}) == 2, 30, "deliveries")
        wait_until(lambda: settled(made), 30, "their receipts")
        (green,) = made.rows("reconcile", "--all")
        assert (green["infactor"], green["infactor_compared"]) == ([], 2)

        one = {"qbkInvoiceId": "1"}
        infactors.invoices.update_one(one, {"$set": {"invoiceAmount": 1.5}})
        (red,) = made.rows("reconcile", "--all", status=1)
        assert red["differences"] == []
        assert red["infactor"] == [
            {
                "id": "1",
                "number": "R-1",
                "kind": "edited by hand",
                "there": "invoiceAmount 1.5",
                "here": "invoiceAmount 1000.5",
            }
        ]
        table = made.command("reconcile", "--all", status=1)
        assert "Reconciled Company: differs in Infactor" in table
        assert "reconcile.red" in made.command("status", status=1)

        said = made.command("reconcile", "--all", "--fix")
        assert "Reconciled Company: delivered again, or read again from QuickBooks" in said
        fixed = {**one, "invoiceAmount": 1000.5}
        wait_until(lambda: infactors.invoices.find_one(fixed), 30, "the fixed document")


def settled(deployment: Deployment) -> bool:
    """Return whether nothing is outgoing."""
    (figures,) = [json.loads(line) for line in any_status(deployment)]
    return figures["infactor"]["outgoing"] == 0


def any_status(deployment: Deployment) -> list[str]:
    place = Place(deployment.folder, deployment.environment)
    return place.run("status", "--json").stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("--all", "--company", "1")])
def test_one_company_or_all_must_be_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    ended = Place(tmp_path).run("reconcile", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "Name either --company REALM, --connection ID or --all.\n"


def test_a_company_that_is_not_connected_is_left_out(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add_company("9341455000000067", "Lost Company", state="disconnected")
    for options in (("--all",), ("--company", "9341455000000067")):
        ended = place.run("reconcile", *options)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == ("Lost Company: not connected, left out; it has to connect again.\n")


def test_an_unknown_company_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add_company("9341455000000067", "A Company")
    ended = place.run("reconcile", "--connection", "nobody")
    assert ended.returncode == 2
    assert ended.stderr == ("No company matches. `infactor-quickbooks connections` lists them.\n")
