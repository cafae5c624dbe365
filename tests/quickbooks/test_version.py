"""One version, wherever this service says which it is."""

import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from service.cli.main import app
from service.kit.signed_post import SignedPost
from service.quickbooks.client import http_client
from service.quickbooks.endpoints import endpoints
from service.quickbooks.oauth import OAuth
from service.web.api.openapi import document

if TYPE_CHECKING:
    from tests.quickbooks.conftest import Scripted

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NAMED = f"infactor-quickbooks/{PROJECT['version']}"


def test_the_command_line_and_the_api_say_what_the_project_says() -> None:
    printed = CliRunner().invoke(app, ["--version"]).stdout
    assert printed == f"infactor-quickbooks {PROJECT['version']}\n"
    assert document()["info"]["version"] == PROJECT["version"]


def test_whoever_is_called_learns_who_calls_and_in_which_version(intuit: "Scripted") -> None:
    for _ in range(3):
        intuit.will_answer(b"{}")
    with http_client() as client:
        client.get(f"{intuit.url}/v3/company/1/query")
    with closing(OAuth(endpoints("simulator", intuit.url), "app", "s3cret", "http://r/")) as oauth:
        oauth.revoke("a-token")
    with closing(SignedPost(intuit.url, f"whsec_{'MTIz' * 8}")) as post:
        post.send("one", b"{}", "application/json")
    assert [asked.headers["user-agent"] for asked in intuit.asked] == [NAMED] * 3
