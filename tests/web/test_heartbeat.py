"""A receiver's beats: what a long silence leads to, and how its answers reach the database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text

from service.coordination import heartbeats
from service.database.engine import Database
from service.database.tables import Heartbeat, WebhookAnswers
from service.kit.clock import now
from service.kit.metrics import AnswerCounter
from service.quickbooks.webhooks import sign
from service.web.webhook.heartbeat import HeartbeatThread as Beats
from tests import databases
from tests.servers import wait_until
from tests.web.conftest import CONFIG, Place


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    made = databases.opened(migrated_url)
    yield made
    made.close()


def last_alive(database: Database, *, seconds_ago: float) -> None:
    with database.write() as session:
        heartbeats.beat(session, "receiver")
        session.get_one(Heartbeat, "receiver").at -= seconds_ago


def one_life(database: Database, answers: AnswerCounter | None = None) -> None:
    """Let a receiver live for a moment: it beats when it begins, and when it ends."""
    beats = Beats(database, "simulator", answers or AnswerCounter())
    beats.start()
    beats.stop()


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {row.outcome: row.count for row in session.scalars(select(WebhookAnswers))}


@pytest.mark.both_databases("the statements are its own")
@pytest.mark.parametrize(("minutes_away", "is_asked_soon"), [(6, True), (4, False), (None, False)])
def test_companies_are_reconciled_after_a_downtime(
    place: Place, minutes_away: int | None, is_asked_soon: bool
) -> None:
    place.connect(place.browser())
    before = place.connections()[0].reconcile_due_at
    assert before > now() + timedelta(hours=23)
    database = place.services.database
    place.do("DELETE FROM heartbeats")
    if minutes_away is not None:
        last_alive(database, seconds_ago=60 * minutes_away)
    one_life(database)
    due_at = place.connections()[0].reconcile_due_at
    assert due_at <= now() if is_asked_soon else due_at == before


@pytest.mark.both_databases("the statements are its own")
def test_a_downtime_that_could_not_be_noted_is_noted_at_the_next_beat(database: Database) -> None:
    last_alive(database, seconds_ago=360)
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE connections RENAME TO away"))
    one_life(database)
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO connections"))
    with database.write() as session:
        assert heartbeats.beat(session, "receiver") == pytest.approx(360, abs=5)


def test_a_receiver_beats_for_as_long_as_it_lives(database: Database) -> None:
    beats = Beats(database, "simulator", AnswerCounter(), seconds=0.05)
    beats.start()

    def at() -> float:
        with database.read() as session:
            found = session.get(Heartbeat, "receiver")
            return found.at if found else 0.0

    for _ in range(3):
        earlier = at()
        wait_until(lambda earlier=earlier: at() > earlier, what="the next beat")
    beats.stop()


@pytest.mark.both_databases("the statements are its own")
def test_every_answer_of_the_webhook_is_counted(place: Place) -> None:
    browser = place.browser()

    def deliver(body: bytes, signature: str) -> int:
        headers = {"intuit-signature": signature}
        return browser.post("/quickbook/webhook", content=body, headers=headers).status_code

    good = sign(b"[]", CONFIG.verifier_token)
    assert [deliver(b"[]", good) for _ in range(2)] == [200, 200]
    assert deliver(b"[]", sign(b"[]", "another")) == 401
    assert deliver(b"[]", "") == 401
    assert deliver(b"x" * 16 * 1024 * 1024 + b"x", good) == 413
    place.do("ALTER TABLE notices RENAME TO away")
    assert deliver(b"[{}]", sign(b"[{}]", CONFIG.verifier_token)) == 503
    place.do("ALTER TABLE away RENAME TO notices")
    one_life(place.services.database, place.client.app_state["answers"])
    found = counts(place.services.database)
    assert found == {"stored": 2, "unsigned": 2, "too_large": 1, "not_stored": 1}


def test_a_flood_of_forged_requests_costs_no_write_for_each(place: Place) -> None:
    began: list[None] = []
    event.listen(place.services.database.engine, "begin", lambda connection: began.append(None))
    browser = place.browser()
    for _ in range(100):
        assert browser.post("/quickbook/webhook", content=b"[]").status_code == 401
    # Other threads may have looked at their rows meanwhile.
    assert len(began) < 20


@pytest.mark.both_databases("a failed transaction ends differently")
def test_counts_that_could_not_be_stored_are_stored_later(database: Database) -> None:
    answers = AnswerCounter()
    answers.count("unsigned")
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE deliveries RENAME TO away"))
    one_life(database, answers)
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO deliveries"))
    answers.count("unsigned")
    one_life(database, answers)
    assert sum(counts(database).values()) == 2


def test_what_is_counted_last_is_stored_when_the_receiver_ends(database: Database) -> None:
    answers = AnswerCounter()
    beats = Beats(database, "simulator", answers, seconds=3600)
    beats.start()

    def has_beaten() -> bool:
        with database.read() as session:
            return session.get(Heartbeat, "receiver") is not None

    wait_until(has_beaten, what="the first beat")
    answers.count("stored")
    beats.stop()
    assert counts(database) == {"stored": 1}


def test_answers_are_counted_by_their_minute() -> None:
    answers = AnswerCounter()
    answers.count("stored")
    ((minute, outcome),) = answers.take()
    assert (minute.second, minute.microsecond, minute.tzinfo, outcome) == (0, 0, UTC, "stored")
    assert datetime.now(UTC) - minute < timedelta(seconds=70)
    assert answers.take() == {}
