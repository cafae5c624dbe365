"""Events that wait for EVENTS_URL, as an operator sees, skips and retries them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from service.database.tables import FeedEvent
from tests.cli.columns import cells_of
from tests.cli.place import NOW, Place


def an_event(number: int, connection_id: str, **fields: Any) -> FeedEvent:
    """An event that waits; the later the higher its number."""
    given = {"waiting": True, "attempts": 0, **fields}
    return FeedEvent(
        event_id=f"event-{number}",
        position=number,
        connection_id=connection_id,
        environment="sandbox",
        type="connection.paused",
        subject=connection_id,
        at=NOW + timedelta(minutes=number),
        data={"connection": connection_id},
        **given,
    )


def test_a_refused_event_is_seen_shown_sent_again_and_skipped(tmp_path: Path) -> None:
    place = Place(tmp_path)
    company = place.add_company("9341455000000001", "Bright Bakery")
    refused = {"attempts": 3, "error": "answered 422", "due_at": NOW + timedelta(hours=1)}
    with place.services() as services, services.database.write() as session:
        session.add(an_event(1, company, waiting=False))
        session.add(an_event(2, company, **refused))
        session.add(an_event(3, company))

    listed = place.run("feed", "--json")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == ["event-2", "event-3"]
    assert listed.stderr == "EVENTS_URL is not set, so no event is sent.\n"
    assert json.loads(place.run("feed", "--refused", "--json").stdout) == {
        "id": "event-2",
        "at": "2026-11-22T09:38:00Z",
        "connection": company,
        "company": "Bright Bakery",
        "type": "connection.paused",
        "subject": company,
        "attempts": 3,
        "due_at": "2026-11-22T10:36:00Z",
        "error": "answered 422",
    }
    shown = json.loads(place.run("feed", "show", "event-2").stdout)
    assert (shown["event"]["id"], shown["event"]["partitionkey"]) == ("event-2", company)
    assert (shown["attempts"], shown["error"]) == (3, "answered 422")

    retried = place.run("feed", "retry", "event-2")
    assert (retried.returncode, retried.stdout) == (0, "1 event is sent again within seconds.\n")
    skipped = place.run("feed", "skip", "event-2")
    assert (skipped.returncode, skipped.stdout) == (
        0,
        f"Skipped connection.paused of {company} after 3 attempts. Later events of its company"
        " are sent within seconds.\n",
    )
    with place.services() as services, services.database.read() as session:
        left = session.get_one(FeedEvent, 2)
        assert (left.waiting, left.due_at) == (False, None)

    for what in (("skip", "event-3"), ("skip", "event-3", "--yes"), ("show", "event-2")):
        assert place.run("feed", *what).returncode == 2
    assert place.run("feed", "retry").returncode == 2
    audit = [json.loads(line) for line in place.run("audit", "--json").stdout.splitlines()]
    assert [(one["action"], one["details"]) for one in audit] == [
        ("skip event", {"feed_event": "event-2", "type": "connection.paused", "attempts": 3}),
        ("retry events", {"feed_event": "event-2"}),
    ]


def test_the_table_names_what_waits_since_when_and_why(tmp_path: Path) -> None:
    place = Place(tmp_path)
    company = place.add_company("9341455000000001", "Bright Bakery")
    refused = {"attempts": 3, "error": "answered 422", "due_at": NOW + timedelta(hours=1)}
    with place.services() as services, services.database.write() as session:
        session.add(an_event(1, company, **refused))
        session.add(an_event(2, company))
        session.add(an_event(3, "gone"))
    first = [
        *("event-1", "2026-11-22 09:37 UTC", "Bright Bakery", "connection.paused", company),
        *("3", "2026-11-22 10:36 UTC", "answered 422"),
    ]
    listed = place.run("feed")
    assert listed.returncode == 0
    assert cells_of(listed.stdout) == [
        first,
        [
            *("event-2", "2026-11-22 09:38 UTC", "Bright Bakery", "connection.paused", company),
            *("0", "", ""),
        ],
        ["event-3", "2026-11-22 09:39 UTC", "gone", "connection.paused", "gone", "0", "", ""],
    ]
    assert cells_of(place.run("feed", "--refused").stdout) == [first]
    assert place.run("feed", "--limit", "1").stderr == (
        "EVENTS_URL is not set, so no event is sent.\n"
        "These are the oldest 1. --limit shows more, --json all of them.\n"
    )


def test_what_the_listener_may_accept_later_is_skipped_only_when_asked_twice(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    company = place.add_company("9341455000000001", "Bright Bakery")
    away = {"attempts": 3, "error": "answered 503", "due_at": NOW + timedelta(hours=1)}
    with place.services() as services, services.database.write() as session:
        session.add(an_event(1, company, **away))
    asked = place.run("feed", "skip", "event-1")
    assert (asked.returncode, asked.stderr) == (
        2,
        "EVENTS_URL answered 503, so it may accept the event later. `--yes` skips it.\n",
    )
    assert place.run("feed", "skip", "event-1", "--yes").returncode == 0
