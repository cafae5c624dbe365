"""The OAuth journey: consent, codes, tokens, rotation, revocation."""

import base64

import pytest

from tests.simulator.wire import ACCOUNTING, KEYS, OTHER_REALM, REALM, REDIRECT, Wire, returned

DAY = 86400


def test_the_consent_page_lets_a_person_choose_a_company_and_approve(wire: Wire) -> None:
    page = wire.authorise()
    assert page.status_code == 200
    assert "Harborline Supply Co." in page.text
    assert "Juniper &amp; Vale" in page.text
    assert 'value="approve"' in page.text
    assert 'value="deny"' in page.text

    form = {
        "client_id": KEYS[0],
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": ACCOUNTING,
        "state": "the-state",
        "realmId": OTHER_REALM,
        "decision": "approve",
    }
    back = returned(wire.http.post("/connect/oauth2", data=form))
    assert back["realmId"] == OTHER_REALM
    assert back["state"] == "the-state"

    denied = returned(wire.http.post("/connect/oauth2", data=form | {"decision": "deny"}))
    assert denied == {"error": "access_denied", "state": "the-state"}


def test_consent_can_be_given_or_refused_by_order_until_that_is_changed(wire: Wire) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    for _ in range(2):
        back = returned(wire.authorise())
        assert set(back) == {"code", "state", "realmId"}
        assert back["realmId"] == REALM
    wire.http.post("/_sim/consent", json={"approve": False})
    assert returned(wire.authorise()) == {"error": "access_denied", "state": "the-state"}
    wire.http.post("/_sim/consent", json={"approve": None})
    assert wire.authorise().status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody-else"},
        {"redirect_uri": REDIRECT + "/"},
        {"redirect_uri": "https://evil.example.com/quickbook/connect"},
        {"state": ""},
    ],
)
def test_an_unknown_client_or_redirect_gets_an_error_page_and_no_redirect(
    wire: Wire, changes: dict[str, str]
) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    answer = wire.authorise(**changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "could not connect this app" in answer.text


def test_an_unknown_scope_is_sent_back_as_invalid_scope(wire: Wire) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    back = returned(wire.authorise(scope="com.intuit.quickbooks.everything"))
    assert back == {"error": "invalid_scope", "state": "the-state"}


def test_the_realm_id_is_named_only_for_scopes_that_open_a_company(wire: Wire) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    assert set(returned(wire.authorise(scope="openid email"))) == {"code", "state"}


def test_a_code_is_exchanged_for_tokens_in_intuits_shape(wire: Wire) -> None:
    answer = wire.exchange(wire.code())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache, no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["intuit_tid"]
    tokens = answer.json()
    assert set(tokens) == {
        "token_type",
        "expires_in",
        "access_token",
        "refresh_token",
        "x_refresh_token_expires_in",
    }
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["x_refresh_token_expires_in"] == 8726400


def test_client_keys_may_come_in_the_form(wire: Wire) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": wire.code(),
        "redirect_uri": REDIRECT,
        "client_id": KEYS[0],
        "client_secret": KEYS[1],
    }
    assert wire.http.post("/oauth2/v1/tokens/bearer", data=form).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic " + base64.b64encode(b"the-client-id:wrong").decode(),
        "Basic not-base64",
        "Bearer x",
    ],
)
def test_a_wrong_key_pair_is_invalid_client(wire: Wire, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = wire.http.post("/oauth2/v1/tokens/bearer", data=form, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_a_code_works_once(wire: Wire) -> None:
    code = wire.code()
    assert wire.exchange(code).status_code == 200
    again = wire.exchange(code)
    assert again.status_code == 400
    assert again.json() == {
        "error": "invalid_grant",
        "error_description": "Invalid authorization code",
    }


def test_a_code_is_bound_to_its_redirect_and_to_ten_minutes(wire: Wire) -> None:
    assert wire.exchange(wire.code(), "http://localhost:3000/other").status_code == 400
    code = wire.code()
    wire.simulator.clock.advance(601)
    assert wire.exchange(code).json()["error"] == "invalid_grant"


# The example of RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = {
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}


@pytest.mark.parametrize(
    ("verifier", "status"), [(VERIFIER, 200), ("", 400), (VERIFIER.lower(), 400)]
)
def test_a_code_that_was_asked_for_with_a_challenge_is_bound_to_it(
    wire: Wire, verifier: str, status: int
) -> None:
    wire.code()  # from now on the person approves
    code = returned(wire.authorise(**CHALLENGE))["code"]
    assert wire.exchange(code, code_verifier=verifier).status_code == status


def test_the_consent_page_hands_the_challenge_on(wire: Wire) -> None:
    page = wire.authorise(**CHALLENGE).text
    assert f'name="code_challenge" value="{CHALLENGE["code_challenge"]}"' in page
    assert 'name="code_challenge_method" value="S256"' in page


def test_a_challenge_of_another_method_is_refused(wire: Wire) -> None:
    wire.code()
    plain = CHALLENGE | {"code_challenge_method": "plain"}
    assert returned(wire.authorise(**plain))["error"] == "invalid_request"


def test_other_grant_types_and_missing_fields_are_named(wire: Wire) -> None:
    def error(form: dict[str, str]) -> str:
        answer = wire.http.post("/oauth2/v1/tokens/bearer", data=form, auth=KEYS)
        assert answer.status_code == 400
        return answer.json()["error"]

    assert error({"grant_type": "client_credentials"}) == "unsupported_grant_type"
    assert error({"grant_type": "refresh_token"}) == "invalid_request"
    assert error({}) == "invalid_request"


def test_a_refresh_within_a_day_returns_the_same_refresh_token(wire: Wire) -> None:
    first = wire.tokens()
    wire.simulator.clock.advance(DAY - 60)
    second = wire.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]


def test_after_a_day_the_refresh_token_is_new_and_the_old_one_dead(wire: Wire) -> None:
    first = wire.tokens()
    wire.simulator.clock.advance(DAY)
    second = wire.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    dead = wire.refresh(first["refresh_token"])
    assert dead.status_code == 400
    assert dead.json() == {"error_description": "Token invalid", "error": "invalid_grant"}
    assert wire.refresh(second["refresh_token"]).status_code == 200


def test_a_grace_can_keep_the_old_refresh_token_alive_for_a_while(wire: Wire) -> None:
    wire.http.post("/_sim/settings", json={"old_refresh_grace": DAY})
    first = wire.tokens()["refresh_token"]
    wire.simulator.clock.advance(DAY)
    second = wire.refresh(first).json()["refresh_token"]
    assert wire.refresh(first).json()["refresh_token"] == second
    wire.simulator.clock.advance(DAY)
    assert wire.refresh(first).status_code == 400


def test_a_refresh_token_dies_when_it_is_not_used_for_its_life(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    wire.simulator.clock.advance(8726400)
    assert wire.refresh(token).json()["error"] == "invalid_grant"


def test_a_chain_of_refresh_tokens_ends_after_five_years_as_it_says_when_asked(wire: Wire) -> None:
    token = wire.tokens()["refresh_token"]
    asked = {"x-include-refresh-token-hard-expires-in": "true"}
    answer = wire.refresh(token, **asked).json()
    assert answer["x_refresh_token_hard_expires_in"] in range(157679980, 157680001)
    for _ in range(18):
        wire.simulator.clock.advance(100 * DAY)
        token = wire.refresh(token).json()["refresh_token"]
    wire.simulator.clock.advance(25 * DAY)
    assert wire.refresh(token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_the_connection(wire: Wire, which: str) -> None:
    tokens = wire.tokens()
    wire.token = tokens["access_token"]
    answer = wire.http.post("/v2/oauth2/tokens/revoke", json={"token": tokens[which]}, auth=KEYS)
    assert (answer.status_code, answer.content) == (200, b"")
    assert wire.get("companyinfo/" + REALM).status_code == 401
    assert wire.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    again = wire.http.post("/v2/oauth2/tokens/revoke", json={"token": tokens[which]}, auth=KEYS)
    assert again.status_code == 400


def test_the_user_can_disconnect_inside_quickbooks(wire: Wire) -> None:
    tokens = wire.tokens()
    assert wire.http.post(f"/_sim/companies/{REALM}/disconnect").json() == {"disconnected": True}
    assert wire.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("name", ["openid_configuration", "openid_sandbox_configuration"])
def test_discovery_names_the_endpoints_on_this_host(wire: Wire, name: str) -> None:
    found = wire.http.get(f"/.well-known/{name}").json()
    assert found["authorization_endpoint"] == f"{wire.url}/connect/oauth2"
    assert found["token_endpoint"] == f"{wire.url}/oauth2/v1/tokens/bearer"
    assert found["revocation_endpoint"] == f"{wire.url}/v2/oauth2/tokens/revoke"
    assert found["response_types_supported"] == ["code"]
