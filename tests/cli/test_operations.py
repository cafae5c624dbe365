"""What operators do about companies, as they type it, and the audit of it."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from service.database.tables import Connection, Document, Supplier
from service.kit.clock import now
from tests.cli.columns import cells_of
from tests.cli.place import NOW, Place, a_notice, an_invoice, rows
from tests.journey.deployment import Deployment, deployed
from tests.servers import wait_until
from tests.store.delivery_rows import DeliveryRows

REALM = "9341455000000055"
OTHER = "9341455000000056"
CUSTOMER = {"Id": "7", "DisplayName": "Buyer", "Active": True}


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A service with one connected company, which has one invoice."""
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Command Company"},
            "Customer": [CUSTOMER],
            "Invoice": [an_invoice("1")],
        },
        OTHER: {"CompanyInfo": {"CompanyName": "Other Company"}},
    }
    with deployed(tmp_path, book, f"sqlite:///{tmp_path}/operations.db") as made:
        made.connect(REALM)
        made.command("backfill", "--all")
        made.sim("POST", "/settings", {"webhooks": "off"})
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def actions(deployment: Deployment) -> list[tuple[str, str]]:
    """Return (action, company) of the audit, the oldest first, each by whoever types here."""
    found = deployment.rows("audit")[::-1]
    assert {row["actor"] for row in found} == {f"cli:{this_user()}"}
    return [(row["action"], row["company"]) for row in found]


def is_granted(deployment: Deployment) -> bool:
    simulator = deployment.simulator.simulator
    return simulator.grants.connected(REALM, simulator.clock.now())


def create(deployment: Deployment, quickbooks_id: str) -> None:
    """Create an invoice now, of which no notice tells."""
    changed = {"MetaData": {"LastUpdatedTime": (now() + timedelta(seconds=1)).isoformat()}}
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice(quickbooks_id, **changed))


def test_a_paused_company_waits_and_catches_up_when_resumed(deployment: Deployment) -> None:
    paused = deployment.run("connections", "pause", "--company", REALM)
    assert (paused.returncode, paused.stdout) == (0, "Command Company: paused.\n")
    again = deployment.run("connections", "pause", "--company", REALM)
    assert (again.returncode, again.stdout) == (0, "Command Company: was paused already.\n")
    assert "connected; paused by an operator 20" in deployment.command("connections")
    create(deployment, "2")
    left_out = deployment.run("sync", "--all")
    assert (left_out.returncode, left_out.stdout) == (1, "")
    assert "Command Company: paused by an operator, left out;" in left_out.stderr
    resumed = deployment.run("connections", "resume", "--supplier", "supplier@example.com")
    assert (resumed.returncode, resumed.stdout) == (0, "Command Company: resumed.\n")
    # Offered again once a look has proved the books, and the company has been judged by that.
    wait_until(lambda: deployment.document("2") is not None, 120, "what was missed")
    assert actions(deployment) == [
        ("backfill", "Command Company"),
        ("pause", "Command Company"),
        ("resume", "Command Company"),
    ]


def test_a_company_that_waits_is_tried_again_at_once(deployment: Deployment) -> None:
    deployment.sim("POST", "/faults", [{"fault": "3100"}])
    create(deployment, "2")
    deployment.run("sync", "--all")
    shown = deployment.run("connections")
    assert "not let in since 20" in shown.stdout
    assert "infactor-quickbooks connections retry --connection" in shown.stderr
    assert "connection.barred (critical)" in deployment.run("status").stdout
    deployment.sim("DELETE", "/faults")
    tried = deployment.run("connections", "retry", "--company", REALM)
    assert (tried.returncode, tried.stdout) == (0, "Command Company: tried again now.\n")
    wait_until(lambda: deployment.document("2") is not None, 30, "what was missed")
    assert "connection.barred" not in deployment.run("status").stdout
    assert actions(deployment)[-1] == ("retry", "Command Company")


def test_what_cannot_be_tried_again_says_why_and_what_to_do(place: Place) -> None:
    ended = place.add_company(REALM, "Bright Bakery", state="disconnected")
    paused = place.add_company("9341455000000066", "Paused Bakery")
    place.run("connections", "pause", "--connection", paused)
    told = place.run("connections", "retry", "--supplier", "supplier@example.com")
    assert (told.returncode, told.stdout) == (1, "")
    assert sorted(told.stderr.splitlines()) == [
        "Bright Bakery: there is no token left to try; its supplier has to connect again."
        f" Send a new link: infactor-quickbooks connect-url --connection {ended}",
        "Paused Bakery: paused by an operator. Resume it first: infactor-quickbooks connections"
        f" resume --connection {paused}",
    ]
    printed = place.run("connections", "retry", "--connection", ended, "--json").stdout
    assert json.loads(printed) == {
        "connection": ended,
        "company": "Bright Bakery",
        "changed": False,
        "error": "there is no token left to try; its supplier has to connect again",
    }


@pytest.mark.parametrize("code", ["6000", "3100"])
def test_a_run_that_fails_is_not_waited_for_and_goes_on_when_it_is_asked_for_again(
    deployment: Deployment, code: str
) -> None:
    deployment.sim("POST", "/faults", [{"fault": code}])
    failed = deployment.run("reconcile", "--all", "--fix")
    assert failed.returncode == 1
    what = {"6000": "refused the content of the request", "3100": "does not let this app into"}
    assert re.search(f"waits until .* UTC: QuickBooks {what[code]}", failed.stderr)
    assert "try at once: infactor-quickbooks connections retry" in failed.stderr
    deployment.sim("DELETE", "/faults")
    again = deployment.run("reconcile", "--all", "--fix")
    assert (again.returncode, "the record is what QuickBooks says" in again.stderr) == (0, True)


NO_SUCH = "Command Company: 0 read, 0 unchanged, 0 failed.\n  QuickBooks has no invoice with Id "


def test_an_id_that_quickbooks_does_not_have_is_no_deleted_invoice(deployment: Deployment) -> None:
    numbered = an_invoice("20", DocNumber="1020")
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", numbered)
    one = ("backfill", "--company", REALM, "--invoice")
    deployment.command(*one, "20")
    audited = actions(deployment)
    for options in ([], ["--dry-run"]):
        number = deployment.run(*one, "1020", *options)
        assert (number.returncode, number.stdout) == (1, "")
        assert number.stderr.endswith(f"{NO_SUCH}1020. Number 1020 is Id 20.\n")
        unknown = deployment.run(*one, "99999", *options)
        assert unknown.returncode == 1
        assert unknown.stderr.endswith(f"{NO_SUCH}99999.\n")
    (summary,) = deployment.rows(*one, "1020", status=1)
    assert (summary["read"], summary["held"]) == (0, {})
    assert summary["error"] == "QuickBooks has no invoice with Id 1020. Number 1020 is Id 20."
    assert deployment.rows("connections")[0]["invoices"] == 2
    assert actions(deployment) == audited


def test_an_invoice_that_was_deleted_in_quickbooks_is_recorded_as_deleted(
    deployment: Deployment,
) -> None:
    deployment.sim("DELETE", f"/companies/{REALM}/Invoice/1")
    one = ("backfill", "--company", REALM, "--invoice", "1")
    (summary,) = deployment.rows(*one)
    assert (summary["read"], summary["withdrawn"], summary["error"]) == (1, 1, None)
    (again,) = deployment.rows(*one)
    assert (again["read"], again["held"], again["error"]) == (1, {"deleted": 1}, None)


def test_sync_brings_in_at_once_what_no_notice_told(deployment: Deployment) -> None:
    create(deployment, "2")
    (row,) = deployment.rows("sync", "--company", REALM)
    assert (row["company"], row["outcome"], row["error"]) == (
        "Command Company",
        "the company's changed invoices were read",
        None,
    )
    assert deployment.document("2") is not None
    assert actions(deployment)[-1] == ("sync", "Command Company")


def test_a_sync_that_fails_says_why(deployment: Deployment) -> None:
    deployment.sim("POST", "/faults", {"kind": "query", "status": 503, "count": 50})
    ended = deployment.run("sync", "--all", "--json")
    assert ended.returncode == 1
    (row,) = [json.loads(line) for line in ended.stdout.splitlines()]
    assert row["outcome"] is None
    assert "503" in row["error"]


def test_disconnect_gives_the_tokens_back_and_keeps_the_invoices(deployment: Deployment) -> None:
    deployment.sim("POST", "/faults", {"kind": "revoke", "status": 503, "count": 1})
    refused = deployment.run("connections", "disconnect", "--company", REALM)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "QuickBooks has not confirmed" in refused.stderr
    assert "--force" in refused.stderr
    assert is_granted(deployment)
    done = deployment.run("connections", "disconnect", "--company", REALM)
    assert (done.returncode, done.stdout) == (0, "Command Company: disconnected.\n")
    (row,) = deployment.rows("connections")
    assert done.stderr == (
        "Its invoices stay, here and in Infactor, and its events wait. To connect it again:"
        f" infactor-quickbooks connect-url --connection {row['connection']}\n"
    )
    assert not is_granted(deployment)
    assert deployment.document("1") is not None
    assert (row["state"], row["problem"], row["suspended_at"]) == ("disconnected", None, None)
    again = deployment.command("connections", "disconnect", "--company", REALM)
    assert again == "Command Company: was disconnected already.\n"
    assert actions(deployment)[1:] == [
        ("disconnect failed", "Command Company"),
        ("disconnect", "Command Company"),
    ]


def test_what_quickbooks_does_not_confirm_is_disconnected_here_when_forced(
    deployment: Deployment,
) -> None:
    deployment.sim("POST", "/faults", {"kind": "revoke", "status": 503})
    done = deployment.run("connections", "disconnect", "--company", REALM, "--force")
    assert (done.returncode, done.stdout) == (1, "Command Company: disconnected.\n")
    assert done.stderr.startswith(
        "Command Company: QuickBooks has not confirmed it: QuickBooks' token service is down"
        " (HTTP 503). To be sure, let the supplier disconnect the app in QuickBooks.\n"
    )
    (row,) = deployment.rows("connections")
    assert (row["state"], row["problem"]) == ("disconnected", None)
    assert actions(deployment)[-1] == ("disconnect", "Command Company")


def test_a_company_that_is_connected_again_meanwhile_stays_so_and_the_next_has_its_turn(
    deployment: Deployment,
) -> None:
    deployment.connect(OTHER, "supplier@example.com", "--another-company")
    with sqlite3.connect(deployment.folder / "operations.db", timeout=60) as database:
        database.execute("BEGIN IMMEDIATE")  # so the command waits before its own write
        with ThreadPoolExecutor(1) as pool:
            asked = ("connections", "disconnect", "--supplier", "supplier@example.com")
            done = pool.submit(deployment.run, *asked)
            wait_until(lambda: not is_granted(deployment), what="the tokens are given back")
            renewed = "UPDATE connections SET refresh_sealed = 'another' WHERE company_name = ?"
            database.execute(renewed, ["Command Company"])
            database.commit()
            ended = done.result(60)
    assert (ended.returncode, ended.stdout) == (1, "Other Company: disconnected.\n")
    assert (
        "Command Company: its supplier has connected it again meanwhile;"
        " nothing was changed. Disconnect it again if that is still wanted.\n"
    ) in ended.stderr
    states = {row["company"]: row["state"] for row in deployment.rows("connections")}
    assert states == {"Command Company": "connected", "Other Company": "disconnected"}


def test_only_a_disconnected_company_is_released(deployment: Deployment) -> None:
    refused = deployment.run("connections", "release", "--company", REALM)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Command Company is connected. Disconnect it first:" in refused.stderr
    deployment.command("connections", "disconnect", "--company", REALM)
    deployment.command("connections", "release", "--company", REALM)
    assert "released 20" in deployment.command("connections")
    deployment.connect(REALM, "second@example.com")
    (row,) = deployment.rows("connections")
    assert (row["supplier"], row["state"]) == ("second@example.com", "connected")
    assert actions(deployment)[1:] == [
        ("disconnect", "Command Company"),
        ("release", "Command Company"),
    ]


def counts(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[name] for name in ("customers", "invoices", "documents"))


def test_forget_shows_what_goes_and_stays_and_then_does_it(deployment: Deployment) -> None:
    create(deployment, "2")
    deployment.command("sync", "--all")
    place = Place(deployment.folder, deployment.environment)
    with place.services() as services, services.database.write() as session:
        decided = session.scalars(select(Document)).first()
        assert decided is not None
        decided.state = "ifactor_prepaid"
    (foreseen,) = deployment.rows("forget", "--company", REALM, "--dry-run")
    assert counts(foreseen) == (1, 1, 1)
    assert foreseen["receipts"] == {"ifactor_prepaid": 1}
    assert is_granted(deployment)
    assert deployment.rows("connections")[0]["invoices"] == 2
    refused = deployment.run("forget", "--company", REALM)
    assert refused.returncode == 2
    assert "This cannot be undone. Say --yes, or --dry-run" in refused.stderr
    done = deployment.run("forget", "--company", REALM, "--yes")
    assert done.returncode == 0
    deleted, receipts = done.stdout.splitlines()
    assert deleted.startswith("Command Company: 1 customers, 1 invoices, 1 documents, ")
    assert receipts == (
        "Command Company: 1 invoices stay as receipts: they are past Approval Awaited, and a"
        " lender may rely on them (1 In Progress)."
    )
    assert done.stderr == "The supplier's name stays: receipts stand in this supplier's name.\n"
    assert not is_granted(deployment)
    (row,) = deployment.rows("connections")
    assert (row["company"], row["state"], row["invoices"]) == ("", "disconnected", 0)
    assert actions(deployment)[-1] == ("forget", None)


def test_forget_says_what_stays_in_infactor_unattended(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery", state="disconnected")
    with place.services() as services:
        rows = DeliveryRows(services.database, company)
        states = ("invoice_created", "invoice_accepted", "invoice_paid", "ifactor_prepaid", "new")
        for number, state in zip("12345", states, strict=True):
            rows.invoice(number)
            rows.document(number, state)
            rows.receipt(number, "created", NOW)
            rows.finding(number, "critical")
    said = place.run("forget", "--company", REALM, "--yes").stdout.splitlines()
    assert said == [
        "Bright Bakery: 0 customers, 1 invoices, 1 documents, 0 notices, 0 runs deleted.",
        "Bright Bakery: 4 invoices stay as receipts: they are past Approval Awaited, and a lender"
        " may rely on them (2 In Progress, 1 Approved, 1 new).",
        "Bright Bakery: 1 invoices that nobody has decided about stay in Infactor, where nobody"
        " updates them any more: let their buyers reject them.",
    ]


def test_forget_says_that_quickbooks_may_still_know_the_tokens(deployment: Deployment) -> None:
    deployment.sim("POST", "/faults", {"kind": "revoke", "status": 503})
    done = deployment.run("forget", "--company", REALM, "--yes")
    assert done.returncode == 0
    assert done.stderr.startswith(
        "Command Company: QuickBooks has not confirmed that the tokens are revoked: QuickBooks'"
        " token service is down (HTTP 503). They are deleted here; to be sure, let the supplier"
        " disconnect the app in QuickBooks.\n"
    )
    (row,) = deployment.rows("connections")
    assert (row["company"], row["state"], row["invoices"]) == ("", "disconnected", 0)


def test_a_forgotten_supplier_is_nobody(deployment: Deployment) -> None:
    done = deployment.run("forget", "--supplier", "supplier@example.com", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    place = Place(deployment.folder, deployment.environment)
    with place.services() as services, services.database.read() as session:
        emails = session.scalars(select(Supplier.email)).all()
    assert emails == ["forgotten-1"]
    assert "released 20" in deployment.command("connections")


NAME_ONE = "Name either --company REALM, --connection ID or --supplier EMAIL.\n"
NOBODY = "No company matches. `infactor-quickbooks connections` lists them.\n"
NO_SUPPLIER = "No supplier with this e-mail address has opened a link yet.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["connections", "pause"], NAME_ONE),
        (["connections", "pause", "--company", "1", "--connection", "2"], NAME_ONE),
        (["connections", "resume", "--company", "1"], NOBODY),
        (["connections", "disconnect", "--supplier", "x@example.com"], NO_SUPPLIER),
        (["connections", "release", "--connection", "1"], NOBODY),
        (["connections", "release"], "Name either --company REALM or --connection ID.\n"),
        (["connections", "reset-watermarks"], NAME_ONE),
        (["reconcile", "--all", "--overrule"], "--overrule fixes, so it needs --fix.\n"),
        (
            ["backfill", "--all", "--invoice", "1", "--since", "2026-01-31"],
            "--invoice and --since exclude each other.\n",
        ),
        (["sync"], "Name either --supplier EMAIL, --company REALM or --all.\n"),
        (["forget", "--yes"], "Name either --supplier EMAIL or --company REALM.\n"),
        (["forget", "--company", "1", "--yes"], NOBODY),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_words(
    place: Place, arguments: list[str], says: str
) -> None:
    place.add_company(REALM, "Bright Bakery")
    ended = place.run(*arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", says)


def states(place: Place, **fields: object) -> str:
    """Return the state that the list shows of one company with these fields."""
    with place.services() as services, services.database.write() as session:
        session.execute(update(Connection).values(**fields))
    (row,) = cells_of(place.run("connections").stdout)
    return row[3]


def test_the_list_says_how_a_connection_stands(place: Place) -> None:
    place.add_company(REALM, "Bright Bakery")
    assert states(place, reconciled_at=NOW) == "connected"
    assert states(place, suspended_at=NOW).startswith("connected; paused by an operator")
    near = {"suspended_at": None, "hard_expires_at": now() + timedelta(days=29)}
    assert "the authorisation ends" in states(place, **near)
    far = {"hard_expires_at": now() + timedelta(days=31)}
    assert states(place, **far) == "connected"
    dead = {"state": "disconnected", "problem": "refused", "disconnected_at": NOW}
    assert states(place, **dead).startswith("ended by QuickBooks since 2026-11-22")
    assert states(place, problem=None).startswith("disconnected since 2026-11-22")
    assert states(place, released_at=NOW).startswith("released 2026-11-22")


def test_what_fixes_is_in_the_audit_too(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_notices(a_notice(company, "failed"))
    moments = [now()]
    assert place.run("replay", "--company", REALM).returncode == 0
    moments.append(now())
    assert place.run("replay", "--company", REALM).returncode == 2  # nothing was changed
    assert place.run("rekey").returncode == 0
    moments.append(now())
    keyed, replayed = rows(place, "audit")
    at, later = (datetime.fromisoformat(row["at"]) for row in (replayed, keyed))
    assert moments[0] <= at <= moments[1] <= later <= moments[2]
    assert (replayed["action"], replayed["company"]) == ("replay", "Bright Bakery")
    assert replayed["details"] == {"events": 1, "companies": 1}
    assert (keyed["action"], keyed["company"]) == ("rekey", None)
    assert keyed["details"] == {"connections": 1, "notices": 0}
    assert {keyed["actor"], replayed["actor"]} == {f"cli:{this_user()}"}
    table = place.run("audit", "--limit", "1")
    assert "rekey" in table.stdout
    assert table.stderr == "These are the newest 1. --limit shows more, --json all of them.\n"


def this_user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def test_watermarks_that_stand_ahead_are_reset_once(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    reset = ("connections", "reset-watermarks", "--company", REALM)
    ended = place.run(*reset)
    assert (ended.returncode, ended.stdout) == (0, "Bright Bakery: no time is ahead.\n")
    with place.services() as services, services.database.write() as session:
        session.execute(
            update(Connection).values(reconciled_until=datetime(2099, 1, 1, tzinfo=UTC))
        )
    ended = place.run(*reset)
    assert (ended.returncode, ended.stdout) == (0, "Bright Bakery: reset.\n")
    with place.services() as services, services.database.read() as session:
        assert session.get_one(Connection, company).reconciled_until == NOW
    assert [row["action"] for row in rows(place, "audit")] == ["reset watermarks"]
