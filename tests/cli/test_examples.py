"""What the help of each command promises: examples that run, and facts as JSON on request."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.core import TyperGroup

from service.database.tables import Connection, FeedEvent, Finding, Run
from service.kit.clock import now
from service.store import runs
from tests import commands
from tests.cli.examples import NOT_RUN_HERE, WITHOUT_FACTS, examples_of, leaves
from tests.cli.place import Place, a_notice, an_invoice
from tests.journey.deployment import deployed
from tests.store.delivery_rows import DeliveryRows

REALM, EVENT = "9341455000000001", "5f0c2a91d3b84e7f9a6c1e2d4b8f7a03"
ALWAYS_JSON = {("feed", "show")}


def test_every_command_has_one_example_or_two_of_itself() -> None:
    for words, command in leaves():
        examples = examples_of(command)
        assert 1 <= len(examples) <= 2, words
        for example in examples:
            assert tuple(example[: len(words)]) == words
            command.make_context(words[-1], example[len(words) :])


def test_every_command_that_prints_facts_prints_them_as_json_too() -> None:
    without = {
        words[0]
        for words, command in leaves()
        if "--json" not in {name for param in command.params for name in param.opts}
        # Of a group that does nothing by itself, its commands count.
        and not (isinstance(command, TyperGroup) and command.no_args_is_help)
        and words not in ALWAYS_JSON
    }
    assert without == set(WITHOUT_FACTS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A connected company with an invoice, and what else the examples name by its id."""
    book = {
        REALM: {
            "CompanyInfo": {"CompanyName": "Example Supplies"},
            "Customer": [{"Id": "7", "DisplayName": "Buyer", "Active": True}],
            "Invoice": [an_invoice("145", DocNumber="1037")],
        }
    }
    with deployed(tmp_path, book, f"sqlite:///{tmp_path}/examples.db") as made:
        made.connect(REALM)
        made.command("backfill", "--all")
        place = Place(made.folder, made.environment)
        with place.services() as services:
            with services.database.read() as session:
                company = session.execute(select(Connection.id)).scalar_one()
            rows = DeliveryRows(services.database, company)
            rows.invoice("9")
            rows.document("9", "invoice_accepted")
            rows.finding("9", "critical")
            with services.database.write() as session:
                session.execute(update(Finding).values(id=7))
                session.execute(update(Run).values(id=Run.id + 100))
                run_id = runs.create_or_join(session, company, "command", None, now())
                halted = update(Run).where(Run.id == run_id)
                session.execute(halted.values(id=7, halted_at=now(), error="too many"))
        place.add_notices(a_notice(company, "failed", id=42))
        refused = {"type": "connection.paused", "subject": company, "data": {}, "attempts": 1}
        with place.services() as services, services.database.write() as session:
            about = {"connection_id": company, "environment": "simulator", "at": now()}
            session.add(
                FeedEvent(event_id=EVENT, waiting=True, error="answered 404", **about, **refused)
            )
        yield place


def test_the_first_example_of_each_command_runs_and_answers_in_json(
    place: Place, tmp_path: Path
) -> None:
    (apart := tmp_path / "apart").mkdir()
    for words, command in leaves():
        if words[0] in NOT_RUN_HERE:
            continue
        example = examples_of(command)[0]
        as_json = words[0] not in WITHOUT_FACTS and words not in ALWAYS_JSON
        folder = apart if words[0] == "init" else place.folder
        ended = commands.run(
            *example, *(["--json"] if as_json else []), env=place.settings, cwd=folder
        )
        said = (" ".join(example), ended.returncode, ended.stderr)
        assert ended.returncode in (0, 1), said
        if as_json:
            assert ended.stdout, said
            assert all(isinstance(json.loads(line), dict) for line in ended.stdout.splitlines())
