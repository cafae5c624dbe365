"""A search among very many invoices: it ends in time, says so, and holds nobody else up."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from sqlalchemy import event, text
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from service.errors import OutOfTime
from service.queries.invoices import Wanted
from service.web.supplier import dashboard
from service.web.supplier.download import _text, next_and_rest
from tests import databases
from tests.servers import wait_until
from tests.web.conftest import PUBLIC_URL, Place, said

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
}
LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)"
    " SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(0.1)",
}


class Served:
    """The application at a socket."""

    def __init__(self, place: Place) -> None:
        self.requests = 0
        self._place = place
        self._asking: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self._app, log_config=None, lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        state = dict(self._place.client.app_state)
        await self._place.client.app({**scope, "state": state}, receive, send)

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started, timeout=20)

    def stop(self) -> None:
        self._server.should_exit = True
        for one in self._asking:
            one.close()
        self._thread.join(20)
        self._listener.close()

    def ask(self, path: str, browser: TestClient) -> socket.socket:
        """Ask for a page, and return the connection on which it will come."""
        made = socket.create_connection(self._listener.getsockname(), timeout=20)
        cookie = f"infactor_quickbooks={browser.cookies['infactor_quickbooks']}"
        host = PUBLIC_URL.removeprefix("http://")
        made.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n".encode())
        self._asking.append(made)
        return made

    def hang_up_on_all_but(self, kept: socket.socket) -> None:
        for one in self._asking:
            if one is not kept:
                one.close()
        wait_until(lambda: len(self._server.server_state.connections) == 1, timeout=20)
        self._asking = [kept]


@contextmanager
def served(place: Place) -> Iterator[Served]:
    made = Served(place)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.both_databases("each ends a statement in its own way")
def test_a_read_that_takes_too_long_is_ended_and_the_next_is_not(migrated_url: str) -> None:
    database = databases.opened(migrated_url)
    endless = text(ENDLESS[database.engine.dialect.name])
    for _ in range(2):
        with pytest.raises(OutOfTime), database.read(seconds=0.05) as session:
            session.execute(endless)
        with database.read(seconds=5) as session:
            assert session.execute(text("SELECT 1")).scalar_one() == 1
        with database.read() as session:  # without a limit again, on the same connection
            assert session.execute(text(LONG[database.engine.dialect.name])).all()
    database.close()


def test_a_file_rests_for_as_long_as_it_computed() -> None:
    def texts() -> Iterator[str]:
        began = time.thread_time()
        while time.thread_time() - began < 0.02:
            pass
        yield "computed"

    rests: list[float] = []
    making = texts()
    assert next_and_rest(making, rests.append) == "computed"
    assert next_and_rest(making, rests.append) is None
    assert rests[0] >= 0.02 > rests[1]


def test_a_thread_that_computes_gives_way_soon_while_pages_are_served(place: Place) -> None:
    assert sys.getswitchinterval() == pytest.approx(0.0002)


class TestOnSQLite:
    """Each search goes on for ever there: it is read in a loop that has no end."""

    @pytest.fixture
    def endless(self, place: Place, company: str, monkeypatch: pytest.MonkeyPatch) -> Place:
        monkeypatch.setattr(dashboard, "PAGE_SECONDS", 0.05)
        place.do("ALTER TABLE invoices RENAME TO recorded_invoices")
        place.do(
            "CREATE VIEW invoices AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
            " SELECT one.* FROM n CROSS JOIN recorded_invoices AS one"  # in this order
        )
        return place

    def test_one_search_waits_for_another(self, place: Place, company: str) -> None:
        """Two would meet: each waits for a moment whether there is another one."""
        meeting, alone, met = threading.Barrier(2, timeout=0.2), [], []

        def look(_: object, __: object, statement: str, *___: object) -> None:
            if "sought LIKE" in statement and "count(" not in statement:
                try:
                    meeting.wait()
                except threading.BrokenBarrierError:
                    meeting.reset()
                    alone.append(statement)
                else:
                    met.append(statement)

        browsers = [place.log_in() for _ in range(3)]
        event.listen(place.services.database.engine, "before_cursor_execute", look)
        searches = [
            threading.Thread(target=one.get, args=("/quickbook/?q=buyer",)) for one in browsers
        ]
        for one in searches:
            one.start()
        for one in searches:
            one.join()
        assert (len(alone), met) == (3, [])

    def test_nobody_searches_for_those_who_have_gone(
        self, place: Place, browser: TestClient
    ) -> None:
        may_end, begun = threading.Event(), []

        def hold(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
            words = [one for one in parameters if str(one) in ("first", "last", "gone")]
            if "sought LIKE" in statement and "count(" not in statement:
                begun.extend(words)
                may_end.wait(30)

        event.listen(place.services.database.engine, "before_cursor_execute", hold)
        with served(place) as server:
            first = server.ask("/quickbook/?q=first", browser)
            wait_until(lambda: begun == ["first"], timeout=20)
            for _ in range(8):
                server.ask("/quickbook/?q=gone", browser)
            wait_until(lambda: server.requests == 9, timeout=20)
            server.hang_up_on_all_but(first)
            last = server.ask("/quickbook/?q=last", browser)
            wait_until(lambda: server.requests == 10, timeout=20)
            may_end.set()
            assert [one.recv(12) for one in (first, last)] == [b"HTTP/1.1 200"] * 2
        assert begun == ["first", "last"]

    def test_what_an_index_leads_to_does_not_wait_for_a_search(
        self, place: Place, browser: TestClient
    ) -> None:
        may_end, begun = threading.Event(), []

        def hold(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
            if "first" in parameters and not begun:
                begun.append(statement)
                may_end.wait(30)

        event.listen(place.services.database.engine, "before_cursor_execute", hold)
        with served(place) as server:
            first = server.ask("/quickbook/?q=first", browser)
            wait_until(lambda: begun, timeout=20)
            for query in ("", "?sort=amount", "?status=all&sort=due", "?status=closed"):
                assert server.ask(f"/quickbook/{query}", browser).recv(12) == b"HTTP/1.1 200"
            may_end.set()
            assert first.recv(12) == b"HTTP/1.1 200"

    def test_the_page_says_that_it_ran_out_of_time(self, endless: Place) -> None:
        page = endless.log_in().get("/quickbook/?q=nobody")
        assert page.status_code == 200
        assert "This search is taking too long" in said(page.text)
        assert "Nothing matches" not in said(page.text)

    def test_the_file_says_that_it_is_not_complete(self, endless: Place, company: str) -> None:
        wanted = Wanted(connection_ids=(company,), supplier_id=1, words="nobody")
        lines = "".join(_text(endless.services, wanted, {company: "Ours"}, 0.05)).splitlines()
        assert len(lines) == 2
        assert lines[1].startswith('"This file is not complete: the search took too long.')


@pytest.mark.postgresql("a table can be locked, so that a search takes as long as a test likes")
class TestOnPostgreSQL:
    @contextmanager
    def slow(self, place: Place) -> Iterator[psycopg.Connection[Any]]:
        """Let every look at an invoice wait."""
        with psycopg.connect(self.url(place)) as other:
            other.execute("LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE")
            yield other
            other.rollback()

    def test_the_page_says_that_it_ran_out_of_time(self, place: Place, company: str) -> None:
        browser = place.log_in()
        with self.slow(place):
            page = browser.get("/quickbook/?q=buyer")
        assert page.status_code == 200
        assert "This search is taking too long" in said(page.text)
        assert "Nothing matches" not in said(page.text)
        assert 'hx-trigger="every 60s"' in page.text
        assert "0 invoices" not in said(page.text)
        again = browser.get("/quickbook/?q=buyer")
        assert "This search is taking too long" not in said(again.text)
        assert "1 invoice matches" in said(again.text)

    def test_the_file_says_that_it_is_not_complete(self, place: Place, company: str) -> None:
        wanted = Wanted(connection_ids=(company,), supplier_id=1, words="buyer")
        with self.slow(place):
            lines = "".join(_text(place.services, wanted, {company: "Ours"}, 0.1)).splitlines()
        assert len(lines) == 2
        assert lines[1].startswith('"This file is not complete: the search took too long.')

    def test_a_crowd_of_searches_leaves_threads_and_connections_to_everybody_else(
        self, place: Place, company: str, client: TestClient
    ) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await place.client.app({**scope, "state": dict(place.client.app_state)}, receive, send)

        def get(path: str, cookie: str = "") -> Any:
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
            browser = httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)
            return browser.get(path, headers={"cookie": cookie})

        async def crowd(locked: psycopg.Connection[Any], cookie: str) -> int:
            paths = ["/quickbook/?q=buyer", "/quickbook/live?q=buyer", "/quickbook/invoices.csv"]
            searches = [asyncio.ensure_future(get(path, cookie)) for path in paths * 20]
            while self.waiting(place) < 3:
                await asyncio.sleep(0.01)
            try:
                page = await get("/quickbook/welcome", cookie)
                assert not any(search.done() for search in searches)
                assert self.waiting(place) == 3
            finally:
                locked.rollback()
            answers = await asyncio.gather(*searches)
            assert {answer.status_code for answer in answers} == {200}
            return int(page.status_code)

        cookie = f"infactor_quickbooks={client.cookies['infactor_quickbooks']}"
        with self.slow(place) as locked:
            assert asyncio.run(crowd(locked, cookie)) == 200

    def url(self, place: Place) -> str:
        url = place.services.settings.database_url.get_secret_value()
        return url.replace("postgresql+psycopg", "postgresql")

    def waiting(self, place: Place) -> int:
        """Return how many wait for the table; at once two searches and a file may."""
        with psycopg.connect(self.url(place)) as other:
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            found = other.execute(query).fetchone()
        return 0 if found is None else int(found[0])

    @pytest.fixture
    def client(self, place: Place, company: str) -> TestClient:
        """A supplier's browser."""
        return place.log_in()
