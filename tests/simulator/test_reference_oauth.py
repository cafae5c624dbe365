"""The reference's sections 2.4 and 2.5, row by row, with literal bodies."""

import base64
import json
from typing import Any

import pytest

from tests.simulator.wire import KEYS, REALM, REDIRECT, Wire, returned

DAY = 86400
TOKEN_PATH, REVOKE = "/oauth2/v1/tokens/bearer", "/v2/oauth2/tokens/revoke"
DEAD = (400, '{"error_description":"Token invalid","error":"invalid_grant"}')
NO_STORE = {"cache-control": "no-cache, no-store", "pragma": "no-cache"}


def _said(answer: Any) -> tuple[int, str]:
    assert {name: answer.headers[name] for name in NO_STORE} == NO_STORE
    assert answer.headers["intuit_tid"].startswith("1-")
    return answer.status_code, answer.text


def test_2_4_row_1_the_same_token_for_a_day_then_a_new_one(wire: Wire) -> None:
    first = wire.tokens()["refresh_token"]
    wire.simulator.clock.advance(DAY - 60)
    assert wire.refresh(first).json()["refresh_token"] == first
    wire.simulator.clock.advance(60)
    second = wire.refresh(first).json()["refresh_token"]
    assert second != first
    wire.simulator.clock.advance(DAY - 60)
    assert wire.refresh(second).json()["refresh_token"] == second


def test_2_4_row_2_the_old_token_is_dead_at_once_or_after_its_grace(wire: Wire) -> None:
    first = wire.tokens()["refresh_token"]
    wire.simulator.clock.advance(DAY)
    second = wire.refresh(first).json()["refresh_token"]
    assert _said(wire.refresh(first)) == DEAD
    wire.http.post("/_sim/settings", json={"old_refresh_grace": DAY})
    wire.simulator.clock.advance(DAY)
    third = wire.refresh(second).json()["refresh_token"]
    wire.simulator.clock.advance(DAY - 1)
    assert wire.refresh(second).status_code == 200
    wire.simulator.clock.advance(1)
    assert _said(wire.refresh(second)) == DEAD
    assert wire.refresh(third).status_code == 200


def test_2_4_row_3_the_idle_window_slides_with_each_use(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    for _ in range(3):
        wire.simulator.clock.advance(100 * DAY)
        token = wire.refresh(token).json()["refresh_token"]
    wire.simulator.clock.advance(8726400)
    assert _said(wire.refresh(token)) == DEAD


def test_2_3_the_hard_end_is_told_only_to_those_who_ask(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    assert "x_refresh_token_hard_expires_in" not in wire.refresh(token).json()
    wire.simulator.clock.advance(50 * DAY)
    asked = {"x-include-refresh-token-hard-expires-in": "true"}
    left = wire.refresh(token, **asked).json()["x_refresh_token_hard_expires_in"]
    assert 157680000 - 50 * DAY - 30 < left <= 157680000 - 50 * DAY


@pytest.mark.parametrize(
    ("row", "form", "keys", "said"),
    [
        (
            "2.5 dead refresh token",
            {"grant_type": "refresh_token", "refresh_token": "AB11dead"},
            KEYS,
            DEAD,
        ),
        (
            "2.5 bad code",
            {"grant_type": "authorization_code", "code": "AB1x", "redirect_uri": REDIRECT},
            KEYS,
            (400, '{"error_description":"Invalid authorization code","error":"invalid_grant"}'),
        ),
        (
            "2.5 wrong key pair",
            {"grant_type": "refresh_token", "refresh_token": "x"},
            ("the-client-id", "wrong"),
            (401, '{"error":"invalid_client"}'),
        ),
        (
            "2.5 unsupported grant",
            {"grant_type": "client_credentials"},
            KEYS,
            (400, '{"error":"unsupported_grant_type"}'),
        ),
        ("2.5 nothing asked", {}, KEYS, (400, '{"error":"invalid_request"}')),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_2_5_the_token_endpoint_refuses_in_intuits_words(
    wire: Wire, row: str, form: dict[str, str], keys: tuple[str, str], said: tuple[int, str]
) -> None:
    assert row
    assert _said(wire.http.post(TOKEN_PATH, data=form, auth=keys)) == said


def test_2_5_revoking_answers_200_and_nothing_and_ends_the_connection(wire: Wire) -> None:
    tokens = wire.connect().tokens()
    given = {"token": tokens["refresh_token"]}
    assert _said(wire.http.post(REVOKE, json=given, auth=KEYS)) == (200, "")
    assert wire.get("invoice/145").status_code == 401
    assert _said(wire.refresh(tokens["refresh_token"])) == DEAD
    assert wire.http.post(REVOKE, json=given, auth=KEYS).status_code == 400
    wrong = wire.http.post(REVOKE, json=given, auth=("x", "y"))
    assert _said(wrong) == (401, '{"error":"invalid_client"}')


def test_2_5_userinfo_tells_what_the_scopes_allow(wire: Wire) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    scope = "openid profile email phone address"
    tokens = wire.exchange(returned(wire.authorise(scope=scope))["code"]).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert wire.http.get("/v1/openid_connect/userinfo", headers=headers).json() == {
        "sub": "5f4b0a2e-7d0b-4a52-9c53-simulated-user",
        "email": "amelia.okafor@example.com",
        "emailVerified": True,
        "givenName": "Amelia",
        "familyName": "Okafor",
        "phoneNumber": "+1 5555551000",
        "phoneNumberVerified": False,
        "address": {
            "streetAddress": "1820 Dock Street",
            "locality": "Oakland",
            "region": "CA",
            "postalCode": "94607",
            "country": "US",
        },
    }
    assert wire.http.get("/v1/openid_connect/userinfo").status_code == 401
    assert "id_token" in tokens
    [key] = wire.http.get("/op/v1/jwks").json()["keys"]
    assert (key["kty"], key["alg"], key["use"], "d" in key) == ("RSA", "RS256", "sig", False)


def _with_openid(wire: Wire) -> dict[str, Any]:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    scope = "com.intuit.quickbooks.accounting openid"
    return wire.exchange(returned(wire.authorise(scope=scope))["code"]).json()


def test_2_3_a_refresh_with_openid_brings_an_id_token_of_intuits_issuer(wire: Wire) -> None:
    tokens = _with_openid(wire)
    refreshed = wire.refresh(tokens["refresh_token"]).json()
    issuer = "https://oauth.platform.intuit.com/op/v1"
    for answer in (tokens, refreshed):
        payload = answer["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert (claims["iss"], claims["aud"], claims["realmid"]) == (issuer, [KEYS[0]], REALM)
    assert wire.http.get("/.well-known/openid_configuration").json()["issuer"] == issuer
    assert "id_token" not in wire.refresh(wire.tokens()["refresh_token"]).json()


@pytest.mark.parametrize(("second", "live"), [("refused", True), ("revokes", False)])
def test_2_2_a_code_that_comes_twice_may_end_its_tokens(
    wire: Wire, second: str, live: bool
) -> None:
    wire.http.post("/_sim/settings", json={"second_exchange": second})
    code = wire.code()
    tokens = wire.exchange(code).json()
    assert wire.exchange(code).json()["error"] == "invalid_grant"
    wire.token = tokens["access_token"]
    assert wire.get("invoice/145").is_success is live
    assert wire.refresh(tokens["refresh_token"]).is_success is live


def test_2_5_a_wrong_key_pair_is_challenged(wire: Wire) -> None:
    refused = wire.http.post(TOKEN_PATH, data={"grant_type": "refresh_token"}, auth=("x", "y"))
    assert refused.headers["www-authenticate"] == 'Basic realm="Intuit"'
    wire.http.post("/_sim/faults", json={"preset": "invalid_client", "count": 1})
    ordered = wire.refresh("x")
    assert (ordered.status_code, ordered.headers["www-authenticate"]) == (
        401,
        'Basic realm="Intuit"',
    )


@pytest.mark.parametrize(
    "scope",
    [
        "payroll.compensation.read",
        "project-management.project",
        "app-foundations.custom-dimensions.read",
        "app-foundations.custom-field-definitions",
        "time-tracking.time-entry",
        "indirect-tax.tax-calculation.quickbooks",
    ],
)
def test_2_2_newer_scopes_are_accepted_and_the_page_cannot_be_framed(
    wire: Wire, scope: str
) -> None:
    page = wire.authorise(scope=f"com.intuit.quickbooks.accounting {scope}")
    assert (page.status_code, page.headers["x-frame-options"]) == (200, "DENY")
