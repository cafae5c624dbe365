"""A supplier is told before QuickBooks ends the connection for good."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from service.database.tables import Connection
from service.kit.clock import now
from tests.web.conftest import OTHER, OURS, Place, said


@pytest.mark.parametrize(("days", "told"), [(29, True), (31, False)])
def test_the_end_of_a_connection_is_shown_thirty_days_ahead(
    place: Place, days: int, told: bool
) -> None:
    browser = place.browser()
    place.connect(browser)
    with place.services.database.write() as session:
        session.execute(update(Connection).values(hard_expires_at=now() + timedelta(days=days)))
    page = said(browser.get("/quickbook/").text)
    assert ("QuickBooks ends every connection after five years, this one on" in page) is told
    assert ("Renew the connection" in page) is told


def test_renewing_it_moves_the_end(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    with place.services.database.write() as session:
        session.execute(update(Connection).values(hard_expires_at=now() + timedelta(days=5)))
    place.connect(browser, place.token())
    assert "Renew the connection" not in said(browser.get("/quickbook/").text)
    (connection,) = place.connections()
    assert connection.hard_expires_at is not None
    assert connection.hard_expires_at > now() + timedelta(days=1800)


@pytest.mark.parametrize(
    ("known", "realm", "then"), [("GB", OURS, "US"), ("GB", OTHER, "GB")], ids=["told", "not told"]
)
def test_renewing_it_brings_the_companys_country(
    place: Place, known: str, realm: str, then: str
) -> None:
    browser = place.browser()
    place.connect(browser, realm=realm)
    with place.services.database.write() as session:
        session.execute(update(Connection).values(country=known))
    place.connect(browser, place.token(), realm)
    assert [connection.country for connection in place.connections()] == [then]
