"""Webhooks that are sent to a wrong address: counted and logged, and browsers are not meant."""

import pytest
import structlog

from tests.web.conftest import Place

SIGNED = {"intuit-signature": "x" * 44}
OF_A_BROWSER = {"origin": "http://localhost:3000", "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize(
    ("path", "headers", "counted"),
    [
        ("/quickbook/webhooks", SIGNED, True),
        ("/quickbook/webhooks", {}, True),
        ("/quickbook/webhook/", SIGNED, True),
        ("/quickbooks/webhook", SIGNED, True),
        ("/QuickBook/webhook", {}, True),
        ("/quickbook/connect", SIGNED, True),  # of that path, only GET is known
        ("/webhook", SIGNED, True),
        ("/", SIGNED, True),
        ("/webhook", {}, False),
        ("/wp-login.php", {}, False),
        ("/quickbook/nothing", OF_A_BROWSER, False),
    ],
)
def test_what_looks_like_a_webhook_of_intuit_is_counted(
    place: Place, path: str, headers: dict[str, str], counted: bool
) -> None:
    answers = place.client.app_state["answers"]
    answers.take()
    with structlog.testing.capture_logs() as events:
        status = place.browser().post(path, content=b"[]", headers=headers).status_code
    assert status in (404, 405)
    assert [outcome for _, outcome in answers.take()] == ["misdirected"] * counted
    told = [one["path"] for one in events if one["event"] == "webhook.misdirected"]
    assert told == [path] * counted


def test_what_is_sent_to_the_right_address_is_not(place: Place) -> None:
    answers = place.client.app_state["answers"]
    answers.take()
    assert place.browser().post("/quickbook/webhook", headers=SIGNED).status_code == 401
    assert place.browser().get("/quickbook/webhooks", headers=SIGNED).status_code == 404
    assert [outcome for _, outcome in answers.take()] == ["unsigned"]
