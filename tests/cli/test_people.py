"""Links from the command line, where Infactor's database says who is a supplier there."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pymongo.database import Database

from service import links
from service.kit.clock import now
from service.links import Link, Purpose
from tests.cli.place import Place
from tests.journey.deployment import SECRETS
from tests.people import add_user
from tests.servers import away


@pytest.fixture
def place(tmp_path: Path, mongodb_url: str, infactors: Database[dict[str, Any]]) -> Place:
    """A working folder with the settings of Infactor's database."""
    return Place(tmp_path).with_settings(
        {"INFACTOR_MONGODB_URL": mongodb_url, "INFACTOR_MONGODB_DATABASE": infactors.name}
    )


def link_in(printed: str, purpose: Purpose) -> Link:
    token = parse_qs(urlsplit(printed.strip()).query)["token"][0]
    return links.read(token, purpose, SECRETS["INFACTOR_SHARED_SECRET"], now())


def test_a_link_carries_the_name_and_address_that_infactor_has(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    ended = place.run("connect-url", "supplier@example.com", "--name", "Another", "--address", "x")
    assert ended.returncode == 0, ended.stderr
    link = link_in(ended.stdout, "connect")
    assert (link.name, link.address) == ("Sue Pliers", "local")
    assert ended.stderr == (
        "Infactor's own name and address of this supplier count, not --name or --address.\n"
        "Good for 7 days, until a company is connected with it.\n"
    )
    ended = place.run("supplier-url", "supplier@example.com")
    assert ended.returncode == 0, ended.stderr
    assert link_in(ended.stdout, "view").name == "Sue Pliers"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"email": "Supplier@example.com"},
            "Infactor has no account with exactly this e-mail address; upper and lower case count.",
        ),
        (
            {"type": "Buyer"},
            "Infactor has another kind of account with this e-mail address, no supplier's.",
        ),
        (
            {"accountStatus": {"$ne": None}},
            "Infactor has not verified the account with this e-mail address yet.",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["connect-url", "supplier-url"])
def test_nobody_else_gets_a_link(
    place: Place,
    infactors: Database[dict[str, Any]],
    command: str,
    fields: dict[str, Any],
    says: str,
) -> None:
    add_user(infactors, **fields)
    ended = place.run(command, "supplier@example.com")
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"{says}\n")


def test_the_link_for_a_connection_needs_an_account_too(
    place: Place, infactors: Database[dict[str, Any]]
) -> None:
    company = place.add_company("9341455000000001", "Bright Bakery", "disconnected")
    ended = place.run("connect-url", "--connection", company)
    assert (ended.returncode, ended.stdout) == (2, "")
    add_user(infactors)
    ended = place.run("connect-url", "--connection", company)
    assert ended.returncode == 0, ended.stderr
    assert link_in(ended.stdout, "connect").email == "supplier@example.com"


@pytest.mark.parametrize("command", ["connect-url", "supplier-url"])
def test_while_infactor_is_away_no_link_is_made(place: Place, command: str) -> None:
    nowhere = {"INFACTOR_MONGODB_URL": away("u:a-password@")}
    ended = place.with_settings(nowhere).run(command, "supplier@example.com")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "No link is made: no MongoDB that takes writes answers at INFACTOR_MONGODB_URL."
        " See what `infactor-quickbooks doctor` advises, then try again.\n"
    )
