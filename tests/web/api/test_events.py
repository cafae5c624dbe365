"""The events as Infactor's own server reads them by cursor."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from service.database.tables import FeedEvent
from service.kit.clock import now
from service.operations import actions
from service.store import pruning
from tests.web.api.conftest import Api
from tests.web.conftest import Place
from workers.event_feed import send_events


def read(api: Api, **query: Any) -> tuple[list[str], str, bool]:
    """Return (types, next, more) of a page, once what is committed is placed."""
    send_events(api.place.services)
    page = api.get("/events", **query).json()
    return [one["type"] for one in page["items"]], page["next"], page["more"]


def test_a_cursor_leads_through_all_events_and_waits_at_the_end(api: Api, company: str) -> None:
    first, cursor, more = read(api, limit=2)
    assert (first, more) == (["connection.connected", "invoice.recorded"], True)
    rest, cursor, more = read(api, after=cursor)
    assert (rest, more) == (["invoice.delivered"], False)
    assert read(api, after=cursor) == ([], cursor, False)
    actions.pause(api.place.services.database, company, "test")
    later, _, _ = read(api, after=cursor)
    assert later == ["connection.paused"]


def test_a_connection_s_life_is_told(api: Api, company: str) -> None:
    place = api.place
    database = place.services.database
    _, cursor, _ = read(api)
    actions.pause(database, company, "test")
    actions.resume(database, company, "test")
    place.log_in().post(f"/quickbook/connections/{company}/disconnect")
    types, cursor, _ = read(api, after=cursor)
    assert types == ["connection.paused", "connection.resumed", "connection.ended"]
    actions.release(database, company, "test")
    place.connect(place.browser())
    types, _, _ = read(api, after=cursor)
    assert types == ["connection.released", "connection.connected"]


def refused(api: Api, cursor: str) -> tuple[int, str]:
    answer = api.get("/events", after=cursor)
    return answer.status_code, answer.json().get("type", "")


GONE = (410, "/api/v1/docs#cursor-gone")


def test_a_cursor_behind_which_events_were_deleted_says_so(api: Api, company: str) -> None:
    _, early, _ = read(api, limit=1)
    _, end, _ = read(api)
    with api.place.services.database.write() as session:
        pruning.old_events(session, now() + timedelta(days=1), 10)
    assert refused(api, early) == GONE
    assert read(api, after=end)[::2] == ([], False)
    _, fresh, _ = read(api)
    actions.pause(api.place.services.database, company, "test")
    assert read(api, after=fresh)[0] == read(api, after=end)[0] == ["connection.paused"]


def test_a_cursor_that_a_restored_database_does_not_know_says_so(api: Api, company: str) -> None:
    _, early, _ = read(api, limit=1)
    _, end, _ = read(api)
    place = api.place
    place.do("DELETE FROM events WHERE position > 1")  # as it was in the backup
    place.do("UPDATE event_positions SET last = 1")
    assert refused(api, end) == GONE
    actions.pause(place.services.database, company, "test")
    actions.resume(place.services.database, company, "test")
    assert read(api, after=early)[0] == ["connection.paused", "connection.resumed"]
    assert refused(api, end) == GONE  # though that position is another event's by now


def test_events_of_another_environment_are_not_this_one_s(api: Api, company: str) -> None:
    api.place.do("UPDATE connections SET environment = 'production'")
    actions.pause(api.place.services.database, company, "test")
    assert "connection.paused" not in read(api)[0]


class TestOff:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        """As it is by default."""
        return {}

    def test_nothing_is_written_while_nobody_reads_it(self, place: Place, company: str) -> None:
        with place.services.database.read() as session:
            assert session.scalars(select(FeedEvent)).all() == []
