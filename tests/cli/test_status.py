"""`status`, as an operator types it, and the command that it names for a lost connection."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service import links
from service.database.tables import Alert, Connection, Heartbeat, Reads, Run, WebhookAnswers
from service.database.types import database_now
from service.kit.clock import now
from tests.cli.place import NOW, Place, a_notice
from tests.journey.deployment import SECRETS
from tests.servers import free_port

REALM, OTHER = "9341455000000077", "9341455000000088"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def change(place: Place, connection_id: str, values: Mapping[str, Any]) -> None:
    with place.services() as services, services.database.write() as session:
        row = session.get_one(Connection, connection_id)
        for name, value in values.items():
            setattr(row, name, value)


def add(place: Place, *rows: object) -> None:
    with place.services() as services, services.database.write() as session:
        session.add_all(rows)


def beats(place: Place) -> None:
    add(
        place,
        Heartbeat(name="receiver", at=database_now() - 4),
        Heartbeat(name="clock", at=database_now() - 65),
    )


def test_where_nothing_is_wrong_it_says_so_and_how_things_stand(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    beats(place)
    place.add_notices(
        a_notice(company, "pending", minutes=(now() - NOW).total_seconds() / 60 - 1.5),
        a_notice(company, "failed", handled_at=now()),
        a_notice(company, "done", handled_at=now()),  # after which that is over
    )
    add(
        place,
        WebhookAnswers(minute=now() - timedelta(minutes=3), outcome="stored", count=2),
        WebhookAnswers(minute=now(), outcome="unsigned", count=2),
        Reads(connection_id=company, month=f"{now():%Y-%m}", kind="query", count=5000),
        Run(
            connection_id=company,
            kind="backfill",
            cause="command",
            state="active",
            tally={},
            created_at=now(),
        ),
    )
    ended = place.run("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *lines = ended.stdout.splitlines()
    assert head == "Nothing is wrong."
    figures = {line[:12].strip(): line[12:] for line in lines if line}
    assert figures["companies"] == "1 connected"
    assert figures["events"].startswith("1 pending, the oldest came 9")
    assert figures["events"].endswith(" s ago; 1 failed")
    assert figures["webhooks"] == "last one 3 min ago"
    assert re.fullmatch(r"every change until 20\d\d-\d\d-\d\d \d\d:\d\d UTC", figures["reconciled"])
    assert figures["reads"].startswith("5,000 of 500,000 this month (1%)")
    assert figures["receiver"].startswith("alive ")
    assert figures["worker"].startswith("alive ")
    assert figures["runs"] == "1 backfill"


def test_an_empty_database_is_not_wrong(place: Place) -> None:
    with place.services():
        pass
    ended = place.run("status")
    assert ended.returncode == 0
    assert "companies   none\n" in ended.stdout
    assert "webhooks    none yet\n" in ended.stdout
    assert "reconciled" not in ended.stdout
    assert "worker      never seen\n" in ended.stdout


def test_what_is_wrong_is_shown_with_since_when_and_what_to_do(place: Place) -> None:
    since = now().replace(second=0, microsecond=0) - timedelta(hours=5)
    dead = place.add_company(REALM, "Bright \x1b[31mBakery", "disconnected")
    change(place, dead, {"problem": "invalid_grant", "disconnected_at": since})
    ending = place.add_company(OTHER, "Other Bakery")
    day = (now() + timedelta(days=3, hours=1)).astimezone(UTC)
    change(place, ending, {"hard_expires_at": day})
    beats(place)
    ended = place.run("status")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[:12] == [
        "2 things are wrong.",
        "",
        f"connection.dead (critical)                           since {since:%Y-%m-%d %H:%M} UTC",
        "  Bright \N{REPLACEMENT CHARACTER}[31mBakery: QuickBooks no longer accepts this company's"
        " connection:",
        "  nothing is read until its supplier connects again.",
        f"  $ infactor-quickbooks connect-url --connection {dead}",
        "",
        "token.ending_soon (critical)                         since"
        f" {day - timedelta(days=7):%Y-%m-%d %H:%M} UTC",
        f"  Other Bakery: QuickBooks ends this company's authorisation on {day:%Y-%m-%d}, in",
        "  3 days: its supplier has to connect again before.",
        f"  $ infactor-quickbooks connect-url --connection {ending}",
        "",
    ]
    assert "companies   1 connected, 1 ended by QuickBooks\n" in ended.stdout
    assert max(len(line) for line in ended.stdout.splitlines()) < 80


def test_a_company_whose_past_is_not_read_yet_is_not_complete(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    beats(place)
    run = Run(
        connection_id=company,
        kind="backfill",
        cause="connect",
        state="active",
        tally={},
        created_at=now(),
        error="QuickBooks refused",
        error_class="Refused",
        failing_since=now(),
    )
    add(place, run)
    shown = place.run("status")
    assert shown.returncode == 1
    assert "run.failing (critical)" in shown.stdout
    assert f"$ infactor-quickbooks connections retry --connection {company}" in shown.stdout
    assert "reconciled  not yet: the first backfill of 1 company is not finished" in shown.stdout
    (told,) = map(json.loads, place.run("status", "--json").stdout.splitlines())
    assert (told["complete_until"], told["importing"]) == (None, 1)


def test_since_when_is_known_from_the_alert_where_nothing_else_says_it(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    beats(place)
    month = f"{now():%Y-%m}"
    add(place, Reads(connection_id=company, month=month, kind="query", count=450_000))
    began = now().replace(second=0, microsecond=0) - timedelta(hours=9)
    alert = {"cause": "reads.high", "subject": "", "severity": "warning", "text": "", "command": ""}
    add(place, Alert(**alert, since=began, raised_at=began))
    (answer,) = [json.loads(line) for line in place.run("status", "--json").stdout.splitlines()]
    (high,) = answer["wrong"]
    assert (high["cause"], high["since"]) == (
        "reads.high",
        began.isoformat().replace("+00:00", "Z"),
    )
    assert (answer["reads"], answer["reads_per_month"]) == (450_000, 500_000)


def test_a_database_that_does_not_answer_is_a_status_of_its_own(place: Place) -> None:
    url = f"postgresql://someone:a-password@127.0.0.1:{free_port()}/none"
    ended = place.with_settings({"DATABASE_URL": url}).run("status")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("DATABASE_URL: cannot be opened")
    assert "a-password" not in ended.stderr


def test_the_link_for_a_connection_is_its_suppliers(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery", "disconnected")
    ended = place.run("connect-url", "--connection", company)
    assert ended.returncode == 0, ended.stderr
    assert "example.com" not in ended.stderr
    token = parse_qs(urlsplit(ended.stdout.strip()).query)["token"][0]
    link = links.read(token, "connect", SECRETS["INFACTOR_SHARED_SECRET"], now())
    assert (link.email, link.another_company) == ("supplier@example.com", False)


@pytest.mark.parametrize("arguments", [[], ["a@example.com", "--connection", "c1"]])
def test_a_link_is_for_an_address_or_for_a_connection(place: Place, arguments: list[str]) -> None:
    ended = place.run("connect-url", *arguments)
    assert ended.returncode == 2
    assert ended.stderr == "Name either EMAIL or --connection ID.\n"


def test_a_connection_that_nobody_knows_has_no_link(place: Place) -> None:
    with place.services():
        pass
    ended = place.run("connect-url", "--connection", "no-such-connection")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "No connection has this id. `infactor-quickbooks connections` lists them.\n"
    )
