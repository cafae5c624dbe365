"""The commands, as an operator types them, against a running service on SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from service.database.tables import Connection
from tests import commands
from tests.cli.columns import cells_of
from tests.cli.place import Place, an_invoice
from tests.journey.deployment import Deployment, deployed
from tests.servers import PATIENCE, free_port, wait_until

REALM = "9341455000000055"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service with one connected company: one invoice offered, one paid, one that cannot map."""
    folder = tmp_path_factory.mktemp("commands")
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Command Company"},
            "Customer": [{"Id": "7", "DisplayName": "Buyer", "Active": True}],
            "Invoice": [
                an_invoice("1"),
                an_invoice("2", Balance=0),
                an_invoice("3", TotalAmt="ten dollars"),
            ],
        }
    }
    with deployed(folder, book, f"sqlite:///{folder}/commands.db") as made:
        made.connect(REALM)
        # The third invoice fails, and the command says so by its status.
        made.command("backfill", "--all", status=1)
        yield made


def test_invoices_prints_one_infactor_document_a_line(deployment: Deployment) -> None:
    (document,) = deployment.rows("invoices")
    assert document == {
        "invoiceNo": "C-1",
        "invoiceAmount": 10.5,
        "invoiceDate": "2026-09-29",
        "payableDate": "2099-12-01",
        "taxAmount": 0,
        "items": [],
        "taxDetails": {},
        "companyName": "Buyer",
        "contactName": "Buyer",
        "buyerEmail": "buyer@example.com",
        "companyEmail": "buyer@example.com",
        "purchaseDate": "2026-09-29",
        "state": "invoice_created",
        "qbkInvoiceId": "1",
        "source": "QuickBooks",
        "invoiceId": document["invoiceId"],
        "created": 1790749800000,
        "supplierEmail": "supplier@example.com",
        "supplierName": "Example Supplies",
        "supplierAddress": "",
        "purchaseTitle": "Quickbook #C-1",
        "purchaseNo": "C-1",
        "purchaseAmount": 10.5,
        "purchaseDocs": "",
        "grnNo": "",
        "grnDate": "",
        "grnAmount": "",
        "companyType": "",
        "companyPhone": "",
        "holds": [],
        "signals": document["signals"],
    }
    assert "duplicate" in [one["code"] for one in document["signals"]]


def test_held_invoices_are_shown_only_when_asked_for(deployment: Deployment) -> None:
    offered = [d["qbkInvoiceId"] for d in deployment.rows("invoices")]
    everything = {d["qbkInvoiceId"] for d in deployment.rows("invoices", "--held")}
    assert offered == ["1"]
    assert everything == {"1", "2"}
    assert "Held: paid" in deployment.command("invoices", "--held")


def test_invoices_of_another_supplier_are_not_shown(deployment: Deployment) -> None:
    assert len(deployment.rows("invoices", "--supplier", "supplier@example.com")) == 1
    refused = deployment.run("invoices", "--supplier", "nobody@example.com")
    assert refused.returncode == 2
    assert refused.stderr == "No supplier with this e-mail address has opened a link yet.\n"


def test_connections_names_the_company_and_what_it_has(deployment: Deployment) -> None:
    (row,) = deployment.rows("connections")
    assert (row["company"], row["realm_id"], row["state"]) == (
        "Command Company",
        REALM,
        "connected",
    )
    assert (row["invoices"], row["in_infactor"]) == (2, 1)
    assert row["reads"] > 0


def test_a_backfill_with_a_failed_invoice_names_it_and_ends_with_one(
    deployment: Deployment,
) -> None:
    (summary,) = deployment.rows("backfill", "--company", REALM, status=1)
    assert {name: summary[name] for name in ("read", "created", "unchanged", "held", "failed")} == {
        "read": 3,
        "created": 0,
        "unchanged": 1,
        "held": {"paid": 1},
        "failed": 1,
    }
    assert summary["failures"] == [
        {"id": "3", "error": "Unmappable", "message": "TotalAmt: invalid decimal string"}
    ]


def test_a_dry_run_says_what_would_change_and_changes_nothing(deployment: Deployment) -> None:
    new = an_invoice("4", MetaData={"LastUpdatedTime": "2026-10-02T00:00:00Z"})
    deployment.sim("POST", "/settings", {"webhooks": "off"})
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", new)
    before = deployment.rows("invoices", "--held")
    (*changes, summary) = deployment.rows("backfill", "--all", "--dry-run", status=1)
    assert ("C-4", "off") in {(one["number"], one["from"]) for one in changes}
    assert summary["dry_run"] is True
    assert summary["created"] == 1
    assert summary["estimate"]["invoices"] == 4
    one = deployment.run("backfill", "--all", "--invoice", "4", "--dry-run")
    buyer = ["Command Company", "C-4 (Id 4)", "Buyer", "10.50 USD"]
    assert cells_of(one.stdout) == [
        [*buyer, "duplicate", "off", "signal"],
        [*buyer, "terms_too_long", "off", "signal"],
    ]
    assert deployment.rows("invoices", "--held") == before
    deployment.sim("DELETE", f"/companies/{REALM}/Invoice/4")


def test_one_invoice_is_brought_in_by_its_id(deployment: Deployment) -> None:
    (summary,) = deployment.rows("backfill", "--all", "--invoice", "1")
    assert (summary["read"], summary["unchanged"]) == (1, 1)


def test_a_company_that_is_left_out_makes_a_failure_after_the_others_are_done(
    deployment: Deployment,
) -> None:
    place = Place(deployment.folder, deployment.environment)
    left_out = place.add_company("9341455000000066", "Lost Company", state="disconnected")
    try:
        ended = deployment.run("backfill", "--all", "--invoice", "1", "--json")
    finally:
        with place.services() as services, services.database.write() as session:
            session.execute(delete(Connection).where(Connection.id == left_out))
    assert ended.returncode == 1
    assert ended.stderr == "Lost Company: not connected, left out; it has to connect again.\n"
    (summary,) = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (summary["company"], summary["read"], summary["failed"]) == ("Command Company", 1, 0)


def test_a_notice_that_is_replayed_again_and_again_changes_nothing(
    deployment: Deployment,
) -> None:
    entity = {"name": "Invoice", "id": "1", "operation": "Update"}
    entity["lastUpdated"] = "2026-10-01T16:19:01.000Z"
    event = {"realmId": REALM, "dataChangeEvent": {"entities": [entity]}}
    assert deployment.deliver(0, json.dumps({"eventNotifications": [event]}).encode()) == 200
    before = deployment.rows("invoices", "--held")
    number = deployment.rows("webhooks", "--limit", "1")[0]["id"]
    for _ in range(3):
        wait_until(lambda: is_done(deployment, number), 30, "the notice is done")
        said = deployment.command("replay", "--event", str(number))
        assert said == "1 event will be retried.\n"
    wait_until(lambda: is_done(deployment, number), 30, "the notice is done")
    assert deployment.rows("invoices", "--held") == before


def is_done(deployment: Deployment, number: int) -> bool:
    (newest,) = deployment.rows("webhooks", "--limit", "1")
    assert newest["id"] == number
    return bool(newest["status"] == "done")


def test_amounts_are_shown_with_their_currency(deployment: Deployment) -> None:
    assert "  10.50 USD  " in deployment.command("invoices")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name either --supplier EMAIL, --company REALM or --all."),
        (["--all", "--company", "1"], "Name either --supplier EMAIL, --company REALM or --all."),
        (["--all", "--since", "soon"], "--since takes a date such as 2026-01-31"),
        (["--all", "--invoice", "x"], "--invoice takes the Id of an invoice in QuickBooks"),
        (["--company", "12"], "No company matches."),
        (
            ["--company", "acme"],
            "--company takes a company's realm id",
        ),
        (["--supplier", "nobody@example.com"], "No supplier with this e-mail address"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused_in_words(
    deployment: Deployment, arguments: list[str], says: str
) -> None:
    refused = deployment.run("backfill", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert says in refused.stderr


def test_a_worker_without_redis_says_who_does_its_work(deployment: Deployment) -> None:
    refused = deployment.run("worker")
    assert refused.returncode == 2
    assert "REDIS_URL is not set: without it `serve` does the workers' work" in refused.stderr


def test_answers_stay_on_one_line_however_long(deployment: Deployment) -> None:
    link = deployment.run("connect-url", "someone@example.com", "--name", "N" * 150)
    assert link.returncode == 0
    assert link.stdout.count("\n") == 1
    assert link.stdout.startswith(deployment.receivers[0] + "/quickbook/authorise?token=")
    assert len(link.stdout) > 300


def test_an_unmigrated_postgresql_is_refused_with_the_command_that_fixes_it(
    postgres_database: str, deployment: Deployment
) -> None:
    environment = {**deployment.environment, "DATABASE_URL": postgres_database}
    refused = commands.run(
        "serve", "--port", str(free_port()), env=environment, cwd=deployment.folder
    )
    assert refused.returncode == 2
    assert "run `infactor-quickbooks migrate` first" in refused.stderr


def test_the_simulator_refuses_any_other_environment(tmp_path: Path) -> None:
    refused = commands.run("simulator", env={"QUICKBOOKS_ENVIRONMENT": "sandbox"}, cwd=tmp_path)
    assert refused.returncode == 2
    assert "QUICKBOOKS_ENVIRONMENT is not `simulator`" in refused.stderr


def test_every_notice_is_listed_with_its_outcome(deployment: Deployment) -> None:
    assert deployment.deliver(0, b"not json") == 200
    (newest, *_) = deployment.rows("webhooks")
    assert (newest["status"], newest["reason"]) == ("ignored", "not JSON")
    assert "not JSON" in deployment.command("webhooks")
    assert json.dumps(newest)


def test_a_receiver_reads_no_more_of_a_head_than_it_has_use_for(deployment: Deployment) -> None:
    headers = {"cookie": "x" * 70_000}
    assert (
        httpx.get(deployment.receivers[0] + "/livez", headers=headers, timeout=PATIENCE).status_code
        == 431
    )
