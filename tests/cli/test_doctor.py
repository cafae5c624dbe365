"""`doctor`, as an operator types it, with everything in place and with everything down."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import update

from service.database.tables import Connection, Heartbeat
from service.database.types import database_now
from service.simulator.app import running
from service.simulator.books.book import Book
from service.simulator.config import SimulatorConfig
from tests.cli.place import Place
from tests.journey.deployment import SECRETS, VERIFIER
from tests.servers import answering, away, free_port

HUSH = "hush-hush"


@pytest.fixture(scope="module")
def simulator_url() -> Iterator[str]:
    config = SimulatorConfig(
        client_id=SECRETS["QUICKBOOKS_CLIENT_ID"],
        client_secret=SECRETS["QUICKBOOKS_CLIENT_SECRET"],
        verifier_token=VERIFIER,
        redirect_uri="http://localhost:3000/quickbook/connect",
    )
    with running(config, Book.of({})) as simulator:
        yield simulator.url


@pytest.fixture(scope="module")
def public_url() -> Iterator[str]:
    """An address at which this service seems to answer."""
    with answering() as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, simulator_url: str, public_url: str) -> Place:
    """A prepared database with one company, two processes that are alive, and a simulator."""
    made = Place(tmp_path).with_settings(
        {
            "QUICKBOOKS_ENVIRONMENT": "simulator",
            "QUICKBOOKS_SIMULATOR_URL": simulator_url,
            "PUBLIC_URL": public_url,
        }
    )
    made.add_company("9341455000000077", "Bright Bakery")
    beats(made, 4)
    return made


def beats(place: Place, seconds: float) -> None:
    with place.services() as services, services.database.write() as session:
        for name in ("receiver", "clock"):
            session.merge(Heartbeat(name=name, at=0.0))
            session.flush()
            session.get_one(Heartbeat, name).at = database_now() - seconds


def look(place: Place, status: int) -> dict[str, tuple[str, str]]:
    """Return what `doctor` finds: verdict and what was seen, by check."""
    ended = place.run("doctor", "--json")
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert HUSH not in ended.stdout
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(bool(row["advice"]) for row in rows if row["verdict"] == "fail")
    return {row["check"]: (row["verdict"], row["seen"]) for row in rows}


def test_where_all_is_well_it_says_so_in_one_line_for_each(place: Place) -> None:
    ended = place.run("doctor")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in ended.stdout.splitlines()]
    assert [verdict for verdict, _ in lines] == ["ok"] * 19
    assert "What to do" not in ended.stdout
    found = look(place, 0)
    assert list(found) == [
        "settings",
        "public url",
        "public address",
        "verifier token",
        "session secret",
        "database",
        "schema",
        "keys",
        "database clock",
        "app keys",
        "receiver",
        "worker",
        "queue",
        "mongodb",
        "intuit",
        "clock",
        "alerts",
        "events",
        "traces",
    ]
    assert found["intuit"][1].startswith("the simulator's discovery document")
    assert found["receiver"][1].startswith("alive ")


def test_settings_that_cannot_be_loaded_are_named_and_end_it(place: Place) -> None:
    broken = place.with_settings({"SECRET_KEY": "short", "INFACTOR_CURRENCY": "dollars"})
    ended = broken.run("doctor")
    assert (ended.returncode, ended.stderr) == (2, "")
    head, _, advice = ended.stdout.partition("\nWhat to do:\n")
    assert "fail  settings         SECRET_KEY: needs 32 characters or more" in head
    assert "fail  settings         INFACTOR_CURRENCY: must be three letters" in head
    assert "- settings: correct INFACTOR_CURRENCY in the environment or .env" in advice
    assert "short" not in ended.stdout


def test_everything_is_looked_at_when_everything_is_down(place: Place) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    down = place.with_settings(
        {
            "DATABASE_URL": f"postgresql://someone:{HUSH}@{nobody}/none",
            "REDIS_URL": f"redis://:{HUSH}@{nobody}/0",
            "INFACTOR_MONGODB_URL": away(f"someone:{HUSH}@"),
            "INFACTOR_MONGODB_DATABASE": "ifactor",
            "QUICKBOOKS_SIMULATOR_URL": f"http://{nobody}",
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": "",
            "PUBLIC_URL": f"http://{nobody}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{nobody}",
        }
    )
    found = look(down, 1)
    verdicts = {check: verdict for check, (verdict, _) in found.items()}
    assert verdicts == {
        "settings": "ok",
        "public url": "ok",
        "public address": "warn",
        "verifier token": "fail",
        "session secret": "ok",
        "database": "fail",
        "queue": "fail",
        "mongodb": "fail",
        "intuit": "fail",
        "alerts": "ok",
        "events": "ok",
        "traces": "warn",
    }
    assert found["mongodb"][1] == "no MongoDB that takes writes answers at INFACTOR_MONGODB_URL"
    assert HUSH not in down.run("doctor").stdout


def test_what_accepts_and_keeps_silent_is_given_up_in_time(place: Place, silent_port: int) -> None:
    silent = place.with_settings(
        {
            "DATABASE_URL": f"postgresql://someone:{HUSH}@127.0.0.1:{silent_port}/none",
            "REDIS_URL": f"redis://127.0.0.1:{silent_port}/0",
            "INFACTOR_MONGODB_URL": f"mongodb://127.0.0.1:{silent_port}/",
            "INFACTOR_MONGODB_DATABASE": "ifactor",
            "QUICKBOOKS_SIMULATOR_URL": f"http://127.0.0.1:{silent_port}",
        }
    )
    found = look(silent, 1)
    failed = {check for check, (verdict, _) in found.items() if verdict == "fail"}
    assert failed == {"database", "queue", "mongodb", "intuit"}


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, simulator_url: str) -> None:
    place = Place(tmp_path).with_settings(
        {"QUICKBOOKS_ENVIRONMENT": "simulator", "QUICKBOOKS_SIMULATOR_URL": simulator_url}
    )
    assert look(place, 1)["database"] == ("fail", "there is no file infactor-quickbooks.db yet")
    assert list(tmp_path.iterdir()) == []


def test_another_schema_is_a_failure_with_the_command(place: Place) -> None:
    with sqlite3.connect(place.folder / "infactor-quickbooks.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    found = look(place, 1)
    assert found["schema"][0] == "fail"
    assert found["schema"][1].startswith("at 9999, this version needs ")
    assert "- schema: run `infactor-quickbooks migrate`" in place.run("doctor").stdout


def test_keys_of_another_database_are_a_failure(place: Place) -> None:
    found = look(place.with_settings({"SECRET_KEY": HUSH * 5}), 1)
    assert found["keys"] == ("fail", "SECRET_KEY does not fit this database")


def test_the_apps_refused_keys_are_a_failure(place: Place) -> None:
    place.add_company("9341455000000001", "Harbor Supplies")
    with place.services() as services, services.database.write() as session:
        session.execute(update(Connection).values(keys_refused_since=datetime.now(UTC)))
    found = look(place, 1)
    assert found["app keys"] == ("fail", "QuickBooks refuses them, so no tokens are renewed")


def test_processes_that_went_silent_are_a_failure(place: Place) -> None:
    beats(place, 600)
    found = look(place, 1)
    assert found["receiver"] == ("fail", "none has been alive for 10 min")
    assert found["worker"] == ("fail", "none has been alive for 10 min")


def test_an_infactor_without_access_control_is_a_warning(
    place: Place, mongodb_url: str, infactors: Database[dict[str, Any]]
) -> None:
    infactors.client.drop_database(infactors.name)
    mongodb = {"INFACTOR_MONGODB_URL": mongodb_url, "INFACTOR_MONGODB_DATABASE": infactors.name}
    found = look(place.with_settings(mongodb), 0)
    assert found["mongodb"] == ("ok", "answers")
    assert found["mongodb rights"][0] == "warn"
    assert found["mongodb rights"][1].startswith("could not be checked: access control is off")
    assert found["mongodb content"][0] == "warn"
    infactors.users.insert_one({"email": "supplier@example.com", "type": "Supplier"})
    found = look(place.with_settings(mongodb), 0)
    assert found["mongodb content"] == ("ok", "has accounts of Infactor's users")
    assert infactors.list_collection_names() == ["users"]


@pytest.mark.parametrize(
    ("invoices", "sessions", "verdict", "seen"),
    [
        (
            ["find", "insert", "update"],
            ["find"],
            "ok",
            "reads and writes invoices, reads users and sessions",
        ),
        (["find"], [], "fail", "missing: insert on invoices, update on invoices, find on sessions"),
    ],
)
def test_what_the_user_may_do_is_told_without_doing_it(
    place: Place,
    mongodb_url: str,
    infactors: Database[dict[str, Any]],
    invoices: list[str],
    sessions: list[str],
    verdict: str,
    seen: str,
) -> None:
    with a_user(infactors, {"invoices": invoices, "users": ["find"], "sessions": sessions}) as name:
        address = mongodb_url.removeprefix("mongodb://").rstrip("/")
        url = f"mongodb://{name}:{HUSH}@{address}/?authSource={infactors.name}"
        mongodb = {"INFACTOR_MONGODB_URL": url, "INFACTOR_MONGODB_DATABASE": infactors.name}
        found = look(place.with_settings(mongodb), 0 if verdict == "ok" else 1)
        assert found["mongodb rights"] == (verdict, seen)
        wrong = mongodb | {"INFACTOR_MONGODB_URL": url.replace(HUSH, "wrong")}
        assert look(place.with_settings(wrong), 1)["mongodb"] == (
            "fail",
            "the user or password of INFACTOR_MONGODB_URL is not accepted",
        )


@contextmanager
def a_user(infactors: Database[dict[str, Any]], rights: dict[str, list[str]]) -> Iterator[str]:
    """A user of the database with these actions on its collections."""
    name = f"user-of-{infactors.name}"
    privileges = [
        {"resource": {"db": infactors.name, "collection": collection}, "actions": actions}
        for collection, actions in rights.items()
        if actions
    ]
    infactors.command("createRole", name, privileges=privileges, roles=[])
    infactors.command("createUser", name, pwd=HUSH, roles=[name])
    try:
        yield name
    finally:
        infactors.command("dropUser", name)
        infactors.command("dropRole", name)


@contextmanager
def an_intuit(date: str, **changes: str) -> Iterator[str]:
    """A server with a discovery document, changed in this, and with a clock of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = {
                "authorization_endpoint": f"{url}/connect/oauth2",
                "token_endpoint": f"{url}/oauth2/v1/tokens/bearer",
                "revocation_endpoint": f"{url}/v2/oauth2/tokens/revoke",
                **changes,
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def date_time_string(self, timestamp: float | None = None) -> str:
            return date

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield url
        server.shutdown()
        thread.join()


def test_a_clock_that_is_wrong_is_a_failure(place: Place) -> None:
    with an_intuit("Wed, 01 Jan 2020 00:00:00 GMT") as url:
        found = look(place.with_settings({"QUICKBOOKS_SIMULATOR_URL": url}), 1)
    assert found["intuit"][0] == "ok"
    assert found["clock"][0] == "fail"
    assert found["clock"][1].endswith(" ahead of the simulator's")
    assert found["database clock"][0] == "ok"


def test_endpoints_that_have_moved_are_a_failure(place: Place) -> None:
    with an_intuit("", token_endpoint="https://elsewhere.example/") as url:
        found = look(place.with_settings({"QUICKBOOKS_SIMULATOR_URL": url}), 1)
    assert found["intuit"] == ("fail", "another token_endpoint than this version calls")
    assert found["clock"] == ("warn", "the simulator does not say what time it is")
