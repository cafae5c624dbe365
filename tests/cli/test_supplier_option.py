"""A supplier is named in whatever case, unless another one differs in case alone."""

from pathlib import Path

import pytest

from service.kit.clock import now
from service.store import connections
from tests.cli.place import Place

MAIL = "SUPPLIER@Example.com"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add_company("9341455000000077", "Bright Bakery")
    return made


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("invoices", "--supplier"), ""),
        (("connections", "pause", "--supplier"), "Bright Bakery: paused."),
        (("connections", "resume", "--supplier"), "Bright Bakery: was not paused."),
        (("forget", "--dry-run", "--supplier"), "Bright Bakery"),
        (("log-out",), "Was not logged in anywhere."),
    ],
)
def test_a_supplier_is_known_in_whatever_case(
    place: Place, command: tuple[str, ...], said: str
) -> None:
    ended = place.run(*command, MAIL)
    assert ended.returncode == 0, ended.stderr
    assert said in ended.stdout + ended.stderr


def test_where_two_differ_in_case_alone_it_has_to_be_exact(place: Place) -> None:
    with place.services() as services, services.database.write() as session:
        connections.ensure_supplier(session, "Supplier@example.com", "", "", now())
    ended = place.run("connections", "pause", "--supplier", MAIL)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "Several suppliers have this e-mail address, in upper and lower case. Write it exactly as"
        " one of them: supplier@example.com, Supplier@example.com.\n"
    )
    exact = place.run("connections", "pause", "--supplier", "supplier@example.com")
    assert exact.stdout == "Bright Bakery: paused.\n"
