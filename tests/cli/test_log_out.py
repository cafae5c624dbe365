"""Logging a supplier out from the command line."""

import json
from pathlib import Path

from service.kit.clock import now
from service.store import sessions
from tests.cli.place import Place


def test_a_supplier_is_logged_out_in_every_browser(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add_company("9341455000000001", "Bright Bakery")
    with place.services() as services, services.database.write() as session:
        cookies = [sessions.SUPPLIERS.begin(session, now(), supplier_id=1) for _ in range(2)]
        other = sessions.SUPPLIERS.begin(session, now(), supplier_id=None)
    ended = place.run("log-out", "supplier@example.com")
    assert (ended.returncode, ended.stdout) == (0, "Logged out: 2 sessions.\n")
    assert ended.stderr == (
        "To let them in again: infactor-quickbooks supplier-url supplier@example.com\n"
    )
    with place.services() as services, services.database.read() as session:
        assert [sessions.SUPPLIERS.find(session, cookie, now()) for cookie in cookies] == [
            None,
            None,
        ]
        assert sessions.SUPPLIERS.find(session, other, now()) is not None
    again = place.run("log-out", "supplier@example.com")
    assert (again.returncode, again.stdout) == (0, "Was not logged in anywhere.\n")
    audit = place.run("audit", "--json").stdout.splitlines()
    assert [json.loads(line)["action"] for line in audit] == ["log out"]


def test_who_never_came_cannot_be_logged_out(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add_company("9341455000000001", "Bright Bakery")
    ended = place.run("log-out", "nobody@example.com")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "No supplier with this e-mail address has opened a link yet.\n"
