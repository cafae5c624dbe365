"""Approved invoices are unconfirmed, and companies that fell silent against their habit."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from service.database.tables import Notice
from service.infactor.rules.book import parse_changes, rule_book
from service.store import silence
from tests.monitoring.scene import DAYS, HOURS, NOW, Scene, some_settings
from tests.store.delivery_rows import DeliveryRows


def approve(scene: Scene, connection_id: str = "c1", *totals: str, state: str) -> None:
    """Let invoices of these totals have come into this state."""
    rows = DeliveryRows(scene.database, connection_id)
    for number, total in enumerate(totals, start=1):
        rows.invoice(f"{state}{number}", total=Decimal(total))
        rows.document(f"{state}{number}", state)


@pytest.mark.both_databases("the statement is its own")
def test_approved_invoices_that_nothing_confirms_are_one_condition(scene: Scene) -> None:
    scene.company(proved_at=NOW - 35 * HOURS)
    approve(scene, "c1", "1000", "250.50", state="ifactor_request")
    approve(scene, "c1", "9999", state="invoice_created")
    approve(scene, "c1", "9999", state="completed")
    assert scene.causes() == []
    scene.change(proved_at=NOW - 37 * HOURS)
    (told,) = scene.wrong()
    assert (told.cause, told.severity, told.subject) == ("books.unproven", "critical", "c1")
    assert told.since == NOW - HOURS  # a day and a half after the last proof
    assert told.text == (
        "2 approved invoices of this company, 1,250.50 USD in all, may have changed in QuickBooks:"
        " nothing has confirmed its books for 36 h. Call the person who acts next in Infactor"
        " before money moves. Undecided ones are withdrawn until a reconcile has confirmed the"
        " books."
    )


@pytest.mark.both_databases("the statement is its own")
def test_amounts_of_different_currencies_are_not_added(scene: Scene) -> None:
    scene.company(proved_at=NOW - 37 * HOURS)
    approve(scene, "c1", "1000", "250.50", "10", "0.50", state="ifactor_request")
    rows = DeliveryRows(scene.database, "c1")
    rows.change("ifactor_request2", currency="EUR")
    rows.change("ifactor_request3", currency="USD")
    (told,) = scene.wrong()
    assert "4 approved invoices of this company, 250.50 EUR and 1,010.50 USD in all" in told.text


@pytest.mark.parametrize(
    ("settings", "undecided"),
    [
        ({"INFACTOR_RULES": "unproven=signal"}, "stay in Infactor: the rule `unproven` is"),
        ({"INFACTOR_WITHDRAW": "off"}, "stay in Infactor: INFACTOR_WITHDRAW is off."),
    ],
)
def test_what_becomes_of_undecided_ones_is_as_the_settings_have_it(
    scene: Scene, settings: dict[str, str], undecided: str
) -> None:
    scene.company(proved_at=NOW - 37 * HOURS)
    approve(scene, "c1", "1", state="invoice_accepted")
    scene.settings = some_settings(**settings)
    (told,) = scene.wrong()
    assert f"Undecided ones {undecided}" in told.text


@pytest.mark.parametrize(
    ("fields", "why", "command"),
    [
        (
            {"state": "disconnected", "disconnected_at": NOW - HOURS},
            "its connection has ended",
            "infactor-quickbooks connect-url --connection c1",
        ),
        (
            {"suspended_at": NOW - HOURS},
            "it is paused",
            "infactor-quickbooks connections resume --connection c1",
        ),
        (
            {"proved_at": None},
            "nothing has confirmed its books since it was away",
            "infactor-quickbooks reconcile --connection c1 --fix",
        ),
    ],
)
def test_why_nothing_confirms_them_is_said(
    scene: Scene, fields: dict[str, object], why: str, command: str
) -> None:
    scene.company(**fields)
    approve(scene, "c1", "1", state="invoice_accepted")
    (told,) = scene.wrong()
    assert told.cause == "books.unproven"
    assert f"QuickBooks: {why}. Call" in told.text
    assert told.command == command


def test_a_released_company_and_a_rule_that_is_off_are_nobodys_concern(scene: Scene) -> None:
    scene.company(state="disconnected", disconnected_at=NOW, released_at=NOW)
    approve(scene, "c1", "1", state="invoice_accepted")
    assert scene.causes() == []
    scene.change(released_at=None)
    assert scene.causes() == ["books.unproven"]
    scene.settings = some_settings(INFACTOR_RULES="unproven=off")
    assert scene.settings.rules == rule_book("standard", parse_changes("unproven=off"))
    assert scene.causes() == []


def office_hours(days: int, *, until: datetime = NOW) -> list[datetime]:
    """Return times at which a company that works from Monday to Friday sends webhooks."""
    found = []
    for ago in range(days * 24, -1, -1):
        at = until - timedelta(hours=ago)
        if at.weekday() < 5 and 9 <= at.hour < 17:
            found.append(at)
    return found


def test_a_habit_is_learnt_from_the_longest_pause() -> None:
    # From Friday 16:19 until Monday 9:19 are 65 hours.
    assert silence.silent_after(office_hours(30)) == timedelta(hours=97.5)
    every_hour = [NOW - timedelta(hours=n) for n in range(24 * 30, -1, -1)]
    assert silence.silent_after(every_hour) == timedelta(days=1)


@pytest.mark.parametrize(
    "times",
    [
        [],
        [NOW - timedelta(days=n) for n in range(19, 0, -1)],
        [NOW - timedelta(minutes=n) for n in range(500, 0, -1)],  # one busy day
        [NOW - timedelta(hours=n) for n in range(13 * 24, 0, -1)],  # less than two weeks
    ],
)
def test_who_always_was_quiet_or_is_new_has_no_habit(times: list[datetime]) -> None:
    assert silence.silent_after(times) is None


def hear(scene: Scene, times: list[datetime], connection_id: str = "c1") -> None:
    with scene.database.write() as session:
        for at in times:
            for form in ("cloudevents", "own"):
                session.add(
                    Notice(connection_id=connection_id, format=form, status="done", received_at=at)
                )
    with scene.database.write() as session:
        silence.learn(session, connection_id)


@pytest.mark.both_databases("the statements are its own")
def test_a_company_that_fell_silent_is_told_and_critical_once_it_is_financed(scene: Scene) -> None:
    scene.company()
    hear(scene, office_hours(40, until=NOW - 5 * DAYS))
    (told,) = scene.wrong()
    assert (told.cause, told.severity, told.subject) == ("company.silent", "warning", "c1")
    # The last one came on Friday the 13th at 16:19; 97.5 hours are over on Tuesday.
    assert told.since == datetime.fromisoformat("2026-11-17T17:49:17+00:00")
    assert "since 2026-11-13; by its habit of 30 days one was due within 4 days" in told.text
    assert "a reconcile once a day." in told.text
    approve(scene, "c1", "1", state="invoice_accepted")
    (told,) = scene.wrong()
    assert (told.severity, "once an hour, because money may move" in told.text) == (
        "critical",
        True,
    )
    hear(scene, [NOW - HOURS])
    assert scene.causes() == []


def test_the_time_away_is_no_habit_and_nobody_is_silent_as_it_is_connected_again(
    scene: Scene,
) -> None:
    scene.company(renewed_at=NOW - 6 * DAYS)
    before, since = office_hours(40, until=NOW - 16 * DAYS), NOW - 6 * DAYS + HOURS
    hear(scene, [*before, since])
    # Ten days were spent away. Its own longest pause is a weekend.
    scene.change(renewed_at=NOW - DAYS)
    assert scene.causes() == []
    scene.change(renewed_at=NOW - 6 * DAYS)
    (told,) = scene.wrong()
    assert told.cause == "company.silent"
    assert told.since == since + timedelta(hours=97.5)


def test_of_many_that_fell_silent_one_condition_is_told(scene: Scene) -> None:
    for number in range(4):
        scene.company(f"c{number}", silent_after=86_400)
        with scene.database.write() as session:
            session.add(
                Notice(
                    connection_id=f"c{number}",
                    format="cloudevents",
                    status="done",
                    received_at=NOW - 2 * DAYS,
                )
            )
    (told,) = scene.wrong()
    assert (told.cause, told.subject, told.severity) == ("company.silent", "", "warning")
    assert told.text.startswith("No webhooks come from 4 companies, for longer than ever in 30")
    scene.change("c0", suspended_at=NOW)
    scene.change("c1", state="disconnected", disconnected_at=NOW)
    assert [one.subject for one in scene.wrong()] == ["c2", "c3"]
