"""What commands say when they cannot do their work: one line that a person can act on."""

import socket
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from structlog.testing import capture_logs

from service.cli.console import database_trouble, is_ours
from service.cli.context import wait_until_ready
from service.config.loading import settings_from
from service.jobs import receiver_broker
from service.services import build_services
from tests.cli.place import Place
from tests.journey.deployment import SECRETS
from tests.servers import wait_until

LOOKING = [
    ["connections"],
    ["invoices"],
    ["webhooks"],
    ["backfill", "--all"],
    ["replay", "--event", "1"],
]
AWAY = "postgresql://infactor:hush-hush@127.0.0.1:1/infactor"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("command", [["migrate"], *LOOKING])
def test_a_database_that_is_away_is_one_line_without_its_password(
    place: Place, command: list[str]
) -> None:
    ended = place.with_settings({"DATABASE_URL": AWAY}).run(*command)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        'DATABASE_URL: cannot be opened: connection to server at "127.0.0.1", port 1 failed:'
        " Connection refused; check that the database runs, and that its address, user and"
        " password are right\n"
    )


@pytest.mark.parametrize(
    ("user", "name", "why"),
    [
        ("postgres", "nowhere", 'database "nowhere" does not exist'),
        ("nobody", "postgres", 'role "nobody" does not exist'),
    ],
)
@pytest.mark.postgresql("a file asks nobody for a name")
def test_a_database_that_refuses_us_is_one_line_at_once(
    place: Place, postgres_url: str, user: str, name: str, why: str
) -> None:
    server = urlsplit(postgres_url)
    url = f"postgresql://{user}:hush-hush@{server.hostname}:{server.port}/{name}"
    ended = place.with_settings({"DATABASE_URL": url}).run("status")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("DATABASE_URL: cannot be opened: connection to server at ")
    assert f"FATAL: {why}; check that the database runs" in ended.stderr
    assert "hush-hush" not in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.postgresql("a file is nobody's to start")
def test_what_waits_for_a_database_says_why_again_and_again(postgres_url: str) -> None:
    url = urlsplit(postgres_url)._replace(path="/made_later").geturl()
    settings = settings_from({**SECRETS, "DATABASE_URL": url})
    services, stopping = build_services(settings, receiver_broker(None)), threading.Event()
    with capture_logs() as logs, ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(wait_until_ready, services, stopping, every=0.01, say_every=0.1)
            wait_until(lambda: len(logs) >= 3, what="three lines")
        finally:
            stopping.set()
    services.close()
    assert {line["event"] for line in logs} == {"database.away"}
    assert 'database "made_later" does not exist' in logs[2]["why"]


@pytest.mark.parametrize("command", [["migrate"], ["webhooks"]])
def test_a_file_that_is_no_database_is_one_line(place: Place, command: list[str]) -> None:
    (place.folder / "notes.txt").write_text("not a database, but long enough to be looked at\n" * 9)
    ended = place.with_settings({"DATABASE_URL": "sqlite:///notes.txt"}).run(*command)
    assert ended.returncode == 3
    assert ended.stderr == (
        "DATABASE_URL: cannot be opened: file is not a database;"
        " check the path, and that its folder exists and can be written to\n"
    )


@pytest.mark.parametrize("command", LOOKING)
def test_whoever_only_looks_does_not_make_a_database(place: Place, command: list[str]) -> None:
    ended = place.run(*command)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "DATABASE_URL: there is no file infactor-quickbooks.db yet; `serve` or `migrate` makes it\n"
    )
    assert list(place.folder.iterdir()) == []


def test_migrate_makes_the_database(place: Place) -> None:
    assert place.run("migrate").returncode == 0
    assert place.run("connections").stderr.splitlines() == [
        "Connections: none.",
        "`infactor-quickbooks connect-url EMAIL` prints a link with which a supplier connects.",
    ]


def test_a_schema_of_a_later_version_is_one_line(place: Place) -> None:
    place.run("migrate")
    with sqlite3.connect(place.folder / "infactor-quickbooks.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    ended = place.run("connections")
    assert ended.returncode == 2
    assert ended.stderr.startswith("DATABASE_URL: the schema is not of this version: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_part_of_a_password_that_a_driver_takes_for_the_host_is_left_out() -> None:
    cause = psycopg.OperationalError("failed to resolve host 'ss@db.example': unknown\nand more")
    error = OperationalError(None, None, cause)
    assert not is_ours(error)
    assert database_trouble(error) == (
        "DATABASE_URL: cannot be opened: failed to resolve host '…': unknown;"
        " check that the database runs, and that its address, user and password are right"
    )


def test_trouble_in_the_middle_of_work_is_not_called_an_address_that_is_wrong() -> None:
    error = OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("disk is full"))
    assert database_trouble(error) == (
        "DATABASE_URL: the database failed: disk is full; nothing is half done, try again"
    )


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (IntegrityError("INSERT", None, sqlite3.IntegrityError("UNIQUE")), True),
        (ProgrammingError("SELEC", None, psycopg.errors.SyntaxError("SELEC")), True),
        (ProgrammingError("CREATE", None, psycopg.errors.InsufficientPrivilege("no")), False),
        (ProgrammingError(None, None, psycopg.ProgrammingError("invalid option")), False),
    ],
)
def test_a_mistake_of_our_own_keeps_its_traceback(error: IntegrityError, ours: bool) -> None:
    assert is_ours(error) == ours


@pytest.mark.parametrize("url", [AWAY, "sqlite:///none.db"])
def test_links_need_no_database_and_claim_nothing_without_one(place: Place, url: str) -> None:
    away = place.with_settings({"DATABASE_URL": url})
    view = away.run("supplier-url", "someone@example.com")
    assert view.stdout.startswith("http://localhost:3000/quickbook/view?token=")
    assert view.stderr == ("Works for 24 hours. Anyone who has it sees this supplier's invoices.\n")
    connect = away.run("connect-url", "someone@example.com")
    assert connect.stdout.startswith("http://localhost:3000/quickbook/authorise?token=")
    assert connect.stderr == (
        "Without the database nobody can tell whether this supplier has a name: see --name.\n"
        "Good for 7 days, until a company is connected with it.\n"
    )
    assert list(place.folder.iterdir()) == []


NOT_AN_ADDRESS = "EMAIL: is not an e-mail address, such as supplier@example.com.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "EMAIL: is empty; give the supplier's e-mail address in Infactor.\n"),
        (["notanemail"], NOT_AN_ADDRESS),
        (["one@example.com,two@example.com"], NOT_AN_ADDRESS),
        (["ä@example.com"], NOT_AN_ADDRESS),
        (
            ["a@example.com", "--name", "N" * 5000],
            "--name: has 5000 characters; a link holds 200.\n",
        ),
        (
            ["a@example.com", "--address", "A" * 501],
            "--address: has 501 characters; a link holds 500.\n",
        ),
        (
            ["a@example.com", "--name", "two\nlines"],
            "--name, --address: line breaks and hidden characters cannot be shown.\n",
        ),
    ],
)
def test_what_no_link_can_say_is_refused_by_the_name_of_its_option(
    place: Place, arguments: list[str], says: str
) -> None:
    ended = place.run("connect-url", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", says)


def test_a_link_holds_just_as_much_as_the_command_lets_through(place: Place) -> None:
    longest = ["--name", "N" * 200, "--address", "A" * 500]
    assert place.run("connect-url", "a@example.com", *longest).returncode == 0


def test_without_a_file_of_settings_the_first_line_says_so(tmp_path: Path) -> None:
    ended = Place(tmp_path, {}).run("connections")
    assert ended.returncode == 2
    first, *others = ended.stderr.splitlines()
    assert first == "No .env in the working folder"
    assert others[2] == (
        "SECRET_KEY: missing; restore it from your backup;"
        " for a new installation run `infactor-quickbooks init`"
    )


def test_a_port_that_is_taken_is_one_line(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = place.run("serve", "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr == (
        f"Cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another --port.\n"
    )
    assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "99999"],
        ["serve", "--port", "0"],
        ["serve", "--threads", "0"],
        ["worker", "--threads", "0"],
        ["simulator", "--port", "99999"],
        ["webhooks", "--limit", "0"],
        ["replay", "--event", "0"],
        ["confirm", "--run", "9223372036854775808"],
        ["acknowledge", "--finding", "9223372036854775808", "--note", "seen"],
    ],
)
def test_numbers_out_of_range_are_refused_by_the_name_of_their_option(
    place: Place, arguments: list[str]
) -> None:
    ended = place.run(*arguments)
    assert ended.returncode == 2
    assert f"Invalid value for '{arguments[1]}'" in ended.stderr


def test_the_version_is_that_of_the_package(place: Place) -> None:
    ended = place.run("--version")
    assert (ended.returncode, ended.stdout) == (
        0,
        f"infactor-quickbooks {version('infactor-quickbooks')}\n",
    )


def test_an_answer_leaves_at_once() -> None:
    program = "import os; from service.cli.console import answer; answer('here'); os._exit(0)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "here\n"
