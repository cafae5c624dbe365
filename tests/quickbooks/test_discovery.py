"""Intuit's discovery document, beside the addresses that are called."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from service.errors import TransientError, Unrecognised
from service.quickbooks.endpoints import endpoints
from service.quickbooks.oauth import Discovery, OAuth, discovery_of
from tests.servers import free_port

OURS = endpoints("production")
DOCUMENT = {
    "issuer": "https://oauth.platform.intuit.com/op/v1",
    "authorization_endpoint": "https://appcenter.intuit.com/connect/oauth2",
    "token_endpoint": "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    "revocation_endpoint": "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
}
HEADERS = {"Date": "Wed, 25 Nov 2026 08:00:00 GMT"}


def test_intuits_own_document_names_what_is_called() -> None:
    at = datetime(2026, 11, 25, 8, tzinfo=UTC)
    found = discovery_of(200, HEADERS, json.dumps(DOCUMENT).encode(), OURS)
    assert found == Discovery((), at)


@pytest.mark.parametrize(
    "name", ["authorization_endpoint", "token_endpoint", "revocation_endpoint"]
)
def test_what_has_moved_is_named(name: str) -> None:
    without = {key: value for key, value in DOCUMENT.items() if key != name}
    for document in (without, {**DOCUMENT, name: "https://elsewhere.example"}):
        found = discovery_of(200, {}, json.dumps(document).encode(), OURS)
        assert found == Discovery((name,), None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"[]"), (200, b"\xff"), (503, b"{}"), (302, b"{}"), (200, b"[" * 100_000)],
)
def test_another_answer_is_no_document(status: int, body: bytes) -> None:
    with pytest.raises(Unrecognised, match=rf"could not be read \(HTTP {status}\)"):
        discovery_of(status, {}, body, OURS)


def test_a_host_that_is_away_is_told_without_its_address() -> None:
    places = endpoints("simulator", f"http://127.0.0.1:{free_port()}")
    with (
        closing(OAuth(places, "app", "s3cret", "http://localhost:3000/x")) as oauth,
        pytest.raises(TransientError, match=r"^QuickBooks could not be reached \(ConnectError\)$"),
    ):
        oauth.discovery()
