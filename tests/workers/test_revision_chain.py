"""The chain of revisions: whoever changes, adds or removes one is found out, here and offline."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, text

from service.database.tables import Finding, Invoice, Receipt
from service.kit.clock import now
from service.operations import disconnect, forget
from service.simulator.app import RunningSimulator
from service.store import revision_chain
from tests import commands
from tests.store.delivery_rows import DeliveryRows
from tests.workers.delivering import Delivering
from tests.workers.world import World, an_invoice, environment
from workers.upkeep import prune_at

GUIDE = Path(__file__).parents[2] / "service" / "guide" / "kept.md"


@pytest.fixture
def books(world: World) -> World:
    """A company with five revisions of three invoices."""
    world.arrive(an_invoice("1"))
    world.arrive(an_invoice("2", TotalAmt=70.5, Balance=70.5))
    world.arrive(an_invoice("1", Balance=0.0))
    world.arrive(an_invoice("3"))
    world.delete("Invoice", "3")
    world.hear("Invoice", "3", "deleted")
    return world


def verify(
    world: World, simulator: RunningSimulator, folder: Path, *arguments: str
) -> tuple[int, list[dict[str, object]]]:
    """Return how `verify --json` ended, and its lines."""
    env = {"PATH": os.environ["PATH"], **environment(simulator.url, world.database_url)}
    ended = commands.run("verify", "--json", *arguments, env=env, cwd=folder)
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the guide's script, without anything but Python's own library."""
    found = re.search(
        r"<!-- check_export.py -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL
    )
    assert found is not None
    assert len(found[1].splitlines()) <= 60
    (folder / "check_export.py").write_text(found[1])
    command = [sys.executable, "-I", "-S", "check_export.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def change(world: World, *statements: str) -> None:
    """Change the database past the service."""
    with world.services.database.write() as session:
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.both_databases("the chain is read by a UNION, and numbers have to come back alike")
def test_an_untouched_chain_is_whole_here_and_offline(
    books: World, simulator: RunningSimulator, tmp_path: Path
) -> None:
    status, (line,) = verify(books, simulator, tmp_path, "--export", "chains.jsonl")
    assert (status, line["revisions"], line["erased"], line["problems"]) == (0, 5, 0, [])
    ended = check(tmp_path, "chains.jsonl", "--as-of", now().date().isoformat())
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        f"{books.connection_id}: 5 revisions, whole; last link {line['link']}",
        "\t101\t100\t0\tpaid",
        "\t102\t70.5\t70.5\t-",
        "\t103\t100\t100\tdeleted",
    ]
    before = check(tmp_path, "chains.jsonl", "--as-of", "2020-01-01").stdout
    assert before.count("\n") == 1


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["UPDATE revisions SET entry = replace(entry, '70.5', '71.5')"], "revision 2 was changed"),
        (["DELETE FROM revisions WHERE sequence = 2"], "revisions 2 to 2 are missing"),
        (
            ["DELETE FROM revisions WHERE sequence = 5"],
            "the chain ends at revision 4, and 5 were recorded",
        ),
        (
            [
                "UPDATE connections SET chain_length = 4,"
                " chain_link = (SELECT link FROM revisions WHERE sequence = 4)"
            ],
            "the chain ends at revision 4, and there are others up to 5",
        ),
        (
            [f"UPDATE revisions SET link = '{'a' * 64}' WHERE sequence = 3"],
            "revision 3 does not follow the one before",
        ),
        (
            [
                "UPDATE revisions SET number = 9, invoice_id ="
                " (SELECT id FROM invoices WHERE quickbooks_id = '2') WHERE sequence = 3"
            ],
            "revision 3 was changed",
        ),
        (["UPDATE invoices SET balance = 7 WHERE quickbooks_id = '2'"], " is recorded otherwise"),
        (["UPDATE invoices SET hold = NULL WHERE quickbooks_id = '1'"], " is recorded otherwise"),
        (["UPDATE invoices SET holds = '[]' WHERE quickbooks_id = '1'"], " is recorded otherwise"),
        (
            ["UPDATE invoices SET doc_number = '9' WHERE quickbooks_id = '1'"],
            " is recorded otherwise",
        ),
    ],
)
def test_what_was_changed_past_the_service_is_named(
    books: World,
    simulator: RunningSimulator,
    tmp_path: Path,
    statements: Sequence[str],
    problem: str,
) -> None:
    change(books, *statements)
    status, (line,) = verify(books, simulator, tmp_path)
    assert status == 1
    assert any(found.endswith(problem) for found in line["problems"])  # type: ignore[attr-defined]


@pytest.mark.both_databases("the chain is read by a UNION")
def test_a_chain_is_read_in_pages_and_no_further_than_it_was_long(books: World) -> None:
    with books.services.database.read() as session:
        read = partial(revision_chain.entries, session, books.connection_id)
        pages = [[one.sequence for one in read(after, 4, 3)] for after in (0, 3, 4)]
    assert pages == [[1, 2, 3], [4], []]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('\\"total\\":\\"70.5', '\\"total\\":\\"71.5', "revision 2: the entry was changed"),
        ('"sequence": 3', '"sequence": 4', "revision 4: one before it is missing"),
        ('"length": 5', '"length": 6', "the end is missing"),
    ],
)
def test_a_changed_export_is_found_out_offline(
    books: World, simulator: RunningSimulator, tmp_path: Path, old: str, new: str, said: str
) -> None:
    verify(books, simulator, tmp_path, "--export", "chains.jsonl")
    export = tmp_path / "chains.jsonl"
    assert export.read_text().count(old) == 1
    export.write_text(export.read_text().replace(old, new))
    ended = check(tmp_path, "chains.jsonl")
    assert (ended.returncode, said in ended.stderr) == (1, True)


def test_a_rewritten_history_is_not_the_one_of_an_older_export(
    books: World, simulator: RunningSimulator, tmp_path: Path
) -> None:
    verify(books, simulator, tmp_path, "--export", "older.jsonl")
    books.arrive(an_invoice("4"))
    verify(books, simulator, tmp_path, "--export", "newer.jsonl")
    assert check(tmp_path, "newer.jsonl", "--older", "older.jsonl").returncode == 0
    ended = check(tmp_path, "older.jsonl", "--older", "newer.jsonl")
    assert ended.returncode == 1
    assert "its history is not the one of the older export" in ended.stderr


def test_an_export_never_overwrites_another_file(
    books: World, simulator: RunningSimulator, tmp_path: Path
) -> None:
    (tmp_path / "older.jsonl").write_text("an older export")
    env = {"PATH": os.environ["PATH"], **environment(simulator.url, books.database_url)}
    ended = commands.run("verify", "--export", "older.jsonl", env=env, cwd=tmp_path)
    assert ended.returncode == 2
    assert "--export: cannot create older.jsonl: File exists." in ended.stderr
    assert (tmp_path / "older.jsonl").read_text() == "an older export"


def test_forgetting_leaves_the_links_of_what_it_deletes(
    delivering: Delivering, simulator: RunningSimulator, tmp_path: Path
) -> None:
    world = delivering.world
    delivering.arrive(an_invoice("1"))
    delivering.arrive(an_invoice("2"))
    delivering.decide("2", state="invoice_accepted")
    delivering.poll()
    disconnect.disconnect(world.services, world.connection_id, "cli:me", force=False)
    forget.forget_company(world.services, world.connection_id, "cli:me")
    status, (line,) = verify(world, simulator, tmp_path, "--export", "chains.jsonl")
    assert (status, line["revisions"], line["erased"], line["problems"]) == (0, 2, 1, [])
    ended = check(tmp_path, "chains.jsonl", "--as-of", now().date().isoformat())
    assert [row.split("\t")[1] for row in ended.stdout.splitlines()[1:]] == ["102"]


@pytest.mark.both_databases("the statements are its own")
def test_what_belongs_to_an_approved_invoice_is_kept_for_years(world: World) -> None:
    rows = DeliveryRows(world.services.database, world.connection_id)
    at = now()
    for number, approved_at in (("1", None), ("2", at)):
        rows.invoice(number, approved_at=approved_at)
        for days in (91, 6 * 366, 7 * 366 + 1):
            then = at - timedelta(days=days)
            rows.finding(number, "info", field=f"f{days}", found_at=then, closed_at=then)
            rows.receipt(number, "created", then)
        rows.receipt(number, "unchanged", at)
    prune_at(world.services, at)
    with world.services.database.read() as session:
        findings = session.execute(select(Finding.invoice_id, Finding.cause)).all()
        receipts = session.scalars(select(Receipt.invoice_id)).all()
        approved = session.scalars(select(Invoice.id).where(Invoice.approved_at.is_not(None))).one()
    assert {tuple(row) for row in findings} == {(approved, "f91"), (approved, f"f{6 * 366}")}
    assert receipts.count(approved) == 3
    assert len(receipts) == 4


def test_an_approval_is_noted_once(delivering: Delivering) -> None:
    delivering.arrive(an_invoice("1"))
    delivering.poll()
    assert delivering.record("1").approved_at is None
    delivering.decide("1", state="invoice_accepted")
    delivering.poll()
    first = delivering.record("1").approved_at
    assert first is not None
    delivering.decide("1", state="invoice_created")
    delivering.poll()
    delivering.decide("1", state="invoice_accepted")
    delivering.poll()
    assert delivering.record("1").approved_at == first
