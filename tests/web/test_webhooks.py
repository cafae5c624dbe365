"""What the webhook answers by itself, before Starlette: spoken to in ASGI, message by message."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from starlette.types import Message

from service.quickbooks.webhooks import sign
from service.web.webhook import endpoint
from tests.web.conftest import CONFIG, Place

PATH = "/quickbook/webhook"
MOST = 1000
NEVER_RIGHT = "x" * 44  # as long as a signature is, so that the body is looked at


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Webhooks that are refused before they are large."""
    return {"WEBHOOK_MAX_BYTES": str(MOST)}


@dataclass
class Exchange:
    """What a sender got, and how many messages of its own were taken."""

    sent: list[Message] = field(default_factory=list)
    taken: int = 0

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def text(self) -> str:
        return b"".join(message["body"] for message in self.sent[1:]).decode()


def exchange(
    place: Place,
    messages: Iterable[Message],
    *headers: tuple[str, str],
    state: dict[str, Any] | None = None,
    silent: bool = False,
) -> Exchange:
    """Let a sender say these messages to the webhook; a `silent` one stays there afterwards."""
    made, coming = Exchange(), iter(messages)

    async def receive() -> Message:
        made.taken += 1
        message = next(coming, None)
        if message is None and silent:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        made.sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 3000),
        "state": place.client.app_state if state is None else state,
    }
    asyncio.run(place.client.app(scope, receive, send))
    return made


def parts(*chunks: bytes) -> Iterator[Message]:
    """Give a body in parts, the last of which ends it."""
    for number, chunk in enumerate(chunks, start=1):
        yield {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}


def without_end(chunk: bytes) -> Iterator[Message]:
    """Give far more than may be read."""
    for _ in range(50):
        yield {"type": "http.request", "body": chunk, "more_body": True}
    yield {"type": "http.disconnect"}


def signed(body: bytes) -> tuple[str, str]:
    return ("intuit-signature", sign(body, CONFIG.verifier_token))


def test_a_webhook_that_says_it_is_too_long_is_refused_before_it_is_read(place: Place) -> None:
    body = b"[]".ljust(MOST + 1)
    length = ("content-length", str(MOST + 1))
    answer = exchange(place, parts(body), signed(body), length)
    assert (answer.status, answer.text, answer.taken) == (413, "Content Too Large", 0)
    assert place.rows("notices") == 0


def test_a_webhook_that_does_not_say_its_length_is_read_up_to_the_limit(place: Place) -> None:
    answer = exchange(place, without_end(b"x" * 300), ("intuit-signature", NEVER_RIGHT))
    assert (answer.status, answer.text, answer.taken) == (413, "Content Too Large", 4)


def test_a_webhook_that_lies_about_its_length_is_read_up_to_the_limit(place: Place) -> None:
    headers = (("intuit-signature", NEVER_RIGHT), ("content-length", "10"))
    answer = exchange(place, without_end(b"x" * 300), *headers)
    assert (answer.status, answer.taken) == (413, 4)


def test_of_a_webhook_without_a_signature_nothing_is_read(place: Place) -> None:
    for headers in ([], [("intuit-signature", "short")]):
        answer = exchange(place, parts(b"[{}]"), *headers)
        assert (answer.status, answer.taken) == (401, 0)
    assert place.rows("notices") == 0


def test_a_webhook_in_parts_is_as_good_as_any_up_to_the_limit_itself(place: Place) -> None:
    whole = b"[{}".ljust(MOST - 1) + b"]"
    answer = exchange(place, parts(whole[:400], b"", whole[400:]), signed(whole))
    assert (answer.status, answer.text, answer.taken) == (200, "", 3)
    assert place.rows("notices") == 1


def test_no_answer_is_kept_or_taken_for_something_else(place: Place) -> None:
    for headers in ([], [signed(b"[]")]):
        answer = exchange(place, parts(b"[]"), *headers)
        given = answer.sent[0]["headers"]
        assert (b"cache-control", b"no-store") in given
        assert (b"x-content-type-options", b"nosniff") in given


def test_a_sender_that_goes_away_before_the_end_gets_no_answer_and_is_no_crash(
    place: Place,
) -> None:
    """What came is a good webhook by itself, and is not taken for one."""
    begun = {"type": "http.request", "body": b"[{}]", "more_body": True}
    with structlog.testing.capture_logs() as lines:
        answer = exchange(place, [begun, {"type": "http.disconnect"}], signed(b"[{}]"))
    assert answer.sent == []
    assert [line["event"] for line in lines if line["event"] == "request.crashed"] == []
    assert place.rows("notices") == 0


def test_a_body_that_does_not_end_is_not_held_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_LONGEST_SECONDS", 0.05)
    begun = {"type": "http.request", "body": b"[", "more_body": True}
    answer = exchange(place, [begun], signed(b"[]"), silent=True)
    assert (answer.status, answer.text) == (408, "the body did not come in time")
    assert place.rows("notices") == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_whatever_is_no_post_is_told_what_is_possible(place: Place, method: str) -> None:
    body = b"[{}]"
    answer = place.browser().request(method, PATH, content=body, headers=dict([signed(body)]))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert place.rows("notices") == 0


def test_an_error_that_nobody_foresaw_is_logged_under_the_reference_that_it_shows(
    place: Place,
) -> None:
    """The receiver's state is gone: whatever it is, Intuit sends again what got no 200."""
    with structlog.testing.capture_logs() as lines:
        answer = exchange(place, parts(b"[]"), signed(b"[]"), state={})
    (crash,) = [line for line in lines if line["event"] == "request.crashed"]
    assert answer.status == 500
    assert answer.text == f"something went wrong, reference {crash['reference']}"
    assert crash["route"] == PATH


@pytest.mark.parametrize(
    "path", [f"{PATH}/", f"{PATH}/x", f"{PATH}s", "/quickbook/Webhook", f"/x{PATH}", f"/{PATH}"]
)
def test_nothing_but_the_very_path_takes_webhooks(place: Place, path: str) -> None:
    body = b"[{}]"
    url = f"http://localhost:3000{path}"
    answer = place.browser().post(url, content=body, headers=dict([signed(body)]))
    assert answer.status_code == (400 if "//" in path else 404)
    assert place.rows("notices") == 0


def test_parameters_behind_the_path_change_nothing(place: Place) -> None:
    body = b"[{}]"
    url = f"{PATH}?realmId=1"
    answer = place.browser().post(url, content=body, headers=dict([signed(body)]))
    assert answer.status_code == 200
    assert place.rows("notices") == 1


class TestBudget:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {}

    def test_no_more_of_long_bodies_is_held_at_once_than_there_is_room_for(
        self, place: Place
    ) -> None:
        body = b"x" * (endpoint._LONG_BODY + 1)
        webhook = place.client.app
        while not isinstance(webhook, endpoint.Webhook):
            webhook = webhook.app
        with webhook._budget.reservation() as of_others:
            assert of_others.reserve(endpoint._MOST_HELD - len(body) + 1)
            refused = exchange(place, parts(body), signed(body))
            assert (refused.status, refused.text) == (
                503,
                "too much comes at once: please send again",
            )
            short = b"[]"
            assert exchange(place, parts(short), signed(short)).status == 200
        assert exchange(place, parts(body), signed(body)).status == 200
        assert webhook._budget.left == endpoint._MOST_HELD
