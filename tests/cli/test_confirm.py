"""`confirm`, as an operator types it: about a run that has stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.database.tables import Run
from service.store import approvals, runs
from tests.cli.place import NOW, Place, an_invoice, rows
from tests.journey.deployment import Deployment, deployed
from tests.servers import wait_until

REALM = "9341455000000077"
WOULD = (
    "it would withdraw 6 of the company's 6 undecided invoices"
    " (6 paid in QuickBooks; more than 4 need an operator's confirmation)"
)
PRODUCTION = {"QUICKBOOKS_ENVIRONMENT": "production", "PUBLIC_URL": "https://example.com"}
NAMED = f"{WOULD}: C-1, C-2, C-3, C-4, C-5, C-6"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A service with one connected company of six invoices, which are all paid meanwhile."""
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Paid Company"},
            "Customer": [{"Id": "7", "DisplayName": "Buyer", "Active": True}],
            "Invoice": [an_invoice(str(n)) for n in range(1, 7)],
        }
    }
    with deployed(tmp_path, book, f"sqlite:///{tmp_path}/confirm.db") as made:
        made.sim("POST", "/settings", {"webhooks": "off"})
        made.connect(REALM)
        made.command("backfill", "--all")
        paid = [an_invoice(str(n), Balance=0) for n in range(1, 7)]
        made.sim("PUT", f"/companies/{REALM}/Invoice", paid)
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def states(deployment: Deployment) -> list[str]:
    return [row["state"] for row in deployment.rows("invoices")]


def number_of(summary: dict[str, Any]) -> str:
    """Return the id of the run that has stopped, after checking what is said of it."""
    stopped = f"stopped, because {NAMED}. `infactor-quickbooks confirm --run "
    goes_on = "` lets it go on; with --drop it ends"
    number: str = summary["error"].removeprefix(stopped).removesuffix(goes_on)
    assert summary["error"] == f"{stopped}{number}{goes_on}"
    assert number.isdigit()
    return number


def told(deployment: Deployment) -> list[str]:
    (status,) = deployment.rows("status", status=1)
    return [one["command"] for one in status["wrong"] if one["cause"] == "withdrawals.stopped"]


def test_a_command_says_that_its_run_has_stopped_and_confirming_lets_it_go_on(
    deployment: Deployment,
) -> None:
    (summary,) = deployment.rows("backfill", "--all", status=1)
    assert summary["withdrawn"] == 0
    number = number_of(summary)
    joined = deployment.run("backfill", "--all")
    assert joined.returncode == 1
    assert f"stopped, because {NAMED}." in joined.stderr
    assert "waiting:" not in joined.stderr
    assert states(deployment) == ["invoice_created"] * 6
    assert told(deployment) == [f"infactor-quickbooks confirm --run {number} --dry-run"]
    around = deployment.run("sync", "--all")
    assert (around.returncode, around.stderr) == (1, "")
    assert around.stdout.startswith(
        f"Paid Company: left out, as backfill {number} has stopped and waits for a decision;"
    )
    assert states(deployment) == ["invoice_created"] * 6

    looked = deployment.run("confirm", "--run", number, "--dry-run")
    assert (looked.returncode, looked.stderr) == (0, "")
    assert looked.stdout.startswith("Paid Company: the backfill stopped 20")
    assert looked.stdout.endswith(f" UTC: {NAMED}.\n")
    assert told(deployment) == [f"infactor-quickbooks confirm --run {number} --dry-run"]

    done = deployment.run("confirm", "--run", number)
    assert done.returncode == 0
    assert done.stdout == (
        f"{looked.stdout}Confirmed. It continues within seconds where workers run.\n"
    )
    wait_until(lambda: states(deployment) == ["invoice_rejected"] * 6, 30, "the withdrawals")
    audited = deployment.rows("audit")[0]
    assert (audited["action"], audited["company"]) == ("confirm", "Paid Company")
    assert audited["details"] == {"run": int(number), "kind": "backfill"}
    again = deployment.run("confirm", "--run", number)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"Run {number} has ended (done): there is nothing to decide.\n"


def test_a_reconcile_that_has_stopped_can_be_dropped(deployment: Deployment) -> None:
    (summary,) = deployment.rows("reconcile", "--all", "--fix", status=1)
    number = number_of(summary)
    shown = deployment.run("reconcile", "--all", "--fix")
    assert shown.returncode == 1
    assert "Paid Company: could not be compared: stopped, because it would withdraw 6 of" in (
        shown.stderr
    )
    dropped = deployment.run("confirm", "--run", number, "--drop")
    assert dropped.returncode == 0
    assert dropped.stdout.endswith(f"{NAMED}.\nEnded. It has withdrawn nothing.\n")
    assert "The next reconcile looks again in a day." in dropped.stderr
    assert states(deployment) == ["invoice_created"] * 6
    audited = deployment.rows("audit")[0]
    assert (audited["action"], audited["details"]) == (
        "drop",
        {"run": int(number), "kind": "reconcile"},
    )


def a_run(place: Place, company: str, **values: Any) -> int:
    """Store a company's backfill with these values; return its id."""
    with place.services() as services, services.database.write() as session:
        run_id = runs.create_or_join(session, company, "command", None, NOW)
        session.execute(update(Run).where(Run.id == run_id).values(**values))
        return run_id


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"halted_at": None}, "Run 1 has not stopped: it continues.\n"),
        ({"confirmed": True}, "Run 1 is confirmed already and continues.\n"),
        (
            {"state": "failed", "halted_at": NOW},
            "Run 1 has ended (failed): there is nothing to decide.\n",
        ),
    ],
)
@pytest.mark.parametrize("options", [(), ("--drop",), ("--dry-run",)])
def test_there_is_nothing_to_decide_about_other_runs(
    place: Place, values: dict[str, Any], says: str, options: tuple[str, ...]
) -> None:
    a_run(place, place.add_company(REALM, "A Company"), **values)
    ended = place.run("confirm", "--run", "1", *options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", says)
    assert rows(place, "audit") == []


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
def test_a_run_that_is_not_of_this_service_is_unknown(
    place: Place, settings: dict[str, str]
) -> None:
    a_run(place, place.add_company(REALM, "A Company"), halted_at=NOW, error=NAMED)
    number = "1" if settings else "99"
    ended = place.with_settings(settings).run("confirm", "--run", number)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"There is no run {number}. `infactor-quickbooks status` names those that wait.\n"
    )


def test_what_is_confirmed_for_a_company_that_cannot_be_read_waits_for_it(place: Place) -> None:
    company = place.add_company(REALM, "Lost Company", state="disconnected")
    run_id = a_run(place, company, halted_at=NOW, error="it would: C-\x1b[31m1")
    ended = place.run("confirm", "--run", str(run_id))
    assert (ended.returncode, ended.stdout) == (
        0,
        "Lost Company: the backfill stopped 2026-11-22 09:36 UTC: it would: C-\ufffd[31m1.\n"
        "Confirmed. It goes on once the company is connected and not paused.\n",
    )
    with place.services() as services, services.database.write() as session:
        run = approvals.lock(session, run_id)
    assert run is not None
    assert (run.state, run.confirmed, run.halted_at) == ("active", True, None)
