"""One webhook event before operators: what it says, each attempt, its body, and its retry."""

import json
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from service.database.tables import NoticeAttempt
from service.kit.clock import now
from tests.web.conftest import OURS, Place, said
from tests.web.ops.operators import add_notice, audited, flash_in, live_address


def test_an_event_has_a_page_with_all_that_is_known_of_it(
    place: Place, company: str, browser: TestClient
) -> None:
    at = now() - timedelta(minutes=5)
    facts = {"event_id": "e-1", "webhook_id": "a" * 32, "duplicates": 1, "changed_at": at}
    failed = {"error_class": "Unmappable", "error_message": "No <total>", "intuit_tid": "t-2"}
    one = add_notice(
        place, company, "failed", handled_at=at, due_at=at + timedelta(hours=1), **facts, **failed
    )
    with place.services.database.write() as session:
        for second, tid, due_at in ((0, "t-1", at), (90, "t-2", None)):
            session.add(
                NoticeAttempt(
                    notice_id=one,
                    began_at=at + timedelta(seconds=second),
                    ended_at=at + timedelta(seconds=second, milliseconds=250),
                    error_class="Unmappable",
                    error_message="No <total>",
                    intuit_tid=tid,
                    due_at=due_at,
                )
            )
    (link,) = {
        part.split('"')[0]
        for part in browser.get("/ops/events").text.split('href="')
        if part.startswith("/ops/events/")
    }
    assert link == f"/ops/events/{one}"
    page = browser.get(link).text
    words = said(page)
    assert "Invoice 101 updated" in words
    assert "No <total> Retry An event" in words
    assert "It is also retried automatically: the next attempt is due " in words
    assert "Failed since " in words
    assert f"failed since {at.day} " in said(browser.get("/ops/events?status=failed").text)
    assert "Verified Yes, by its intuit-signature" in words
    assert "event id e-1" in words
    assert ", 2 times" in words
    assert f'<a href="/ops/invoices/{place.invoice_id("1")}">Id 1</a>' in page
    attempts = words.split("Next attempt")[1].split("Body")[0]
    assert attempts.count("Failed No <total>") == 2
    assert attempts.index("t-2") < attempts.index("t-1")
    assert "250 ms" in attempts
    assert "Failed attempts and the latest, the newest first" in words
    assert f"{at + timedelta(seconds=90):%H:%M:%S} UTC" in attempts
    assert "It is not kept. All that counts of it is above" in words


def test_the_attempt_that_succeeded_is_the_first(
    place: Place, company: str, browser: TestClient
) -> None:
    at = now() - timedelta(minutes=5)
    times = {"last_attempt_at": at, "handled_at": at + timedelta(seconds=1.5)}
    one = add_notice(place, company, "done", reason="refreshed", attempts=1, **times)
    words = said(browser.get(f"/ops/events/{one}").text)
    assert "Done refreshed 1.5 s" in words
    two = add_notice(place, company, "pending", claimed_by="worker", last_attempt_at=at, attempts=1)
    words = said(browser.get(f"/ops/events/{two}").text)
    assert "It is being worked on." in words
    assert "UTC Under way - -" in words


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("pending", "None yet."),
        ("ignored", "Body It is not kept, and nothing was read from QuickBooks for it."),
        ("done", "None of its own: it was answered with other events."),
    ],
)
def test_without_an_attempt_it_says_why(
    place: Place, company: str, browser: TestClient, status: str, told: str
) -> None:
    assert told in said(browser.get(f"/ops/events/{add_notice(place, company, status)}").text)


def test_a_kept_body_is_shown_without_secrets(place: Place, browser: TestClient) -> None:
    body = {"hello": [1, {"realmId": OURS, "accessToken": "xyz"}], "amount": 1.50}
    vault = place.services.vault
    sealed = {"dedupe_key": "k1", "body_sealed": vault.seal(json.dumps(body), "k1")}
    about = {"entity": None, "entity_id": None, "operation": None, "format": "unknown"}
    one = add_notice(place, None, "ignored", reason="unknown format", **sealed, **about)
    page = browser.get(f"/ops/events/{one}").text
    assert said(page.split("<pre")[1].split(">", 1)[1].split("</pre>")[0]) == (
        '{ "hello": [ 1, { "realmId": "…", "accessToken": "…" } ], "amount": 1.5 }'
    )
    text = {"dedupe_key": "k2", "body_sealed": vault.seal(f"<odd> {OURS}", "k2")}
    two = add_notice(place, None, "ignored", reason="not JSON", **text, **about)
    assert "&lt;odd&gt; (id)</pre>" in browser.get(f"/ops/events/{two}").text
    assert OURS not in page
    body = {"foo": f"company {OURS}", OURS: [OURS, 9341455000000001], "authHeader": "Bearer abc"}
    for key, sent, left in (
        ("k4", json.dumps({**body, "text": "token=abcdef"}), '"text": "token=…"'),
        ("k5", "realmId=193514538 token=abcdef Bearer abc", ">realmId=… token=… Bearer …<"),
        (
            "k6",
            f'{{"x": "<realmId>193514538</realmId>", "refresh": "abc", {OURS}',
            "realmId&gt;(id)",
        ),
    ):
        sealed = {"dedupe_key": key, "body_sealed": vault.seal(sent, key)}
        one = add_notice(place, None, "ignored", reason="not JSON", **sealed, **about)
        kept = (
            "<pre" + browser.get(f"/ops/events/{one}").text.split("<pre")[1].split("</section>")[0]
        )
        assert left in kept.replace("&#34;", '"')
        assert not [secret for secret in (OURS, "9341", "1935", "abc") if secret in kept]
    other = add_notice(place, None, "ignored", **{**text, "dedupe_key": "k3"}, **about)
    words = said(browser.get(f"/ops/events/{other}").text)
    assert "It cannot be opened" in words


def test_it_is_retried_from_its_page(place: Place, company: str, browser: TestClient) -> None:
    one, other = add_notice(place, company, "failed"), add_notice(place, company, "failed")
    answer = browser.post(f"/ops/events/{one}/replay")
    assert answer.headers["location"] == f"/ops/events/{one}"
    page = browser.get(f"/ops/events/{one}").text
    assert flash_in(page) == "1 event will be retried."
    assert "<button" not in page.split("</header>")[1]  # it is pending now
    assert "It is queued now. See its company to find out what holds it up." in said(page)
    address = live_address(page)
    assert browser.get(address).status_code == 204
    place.do(f"UPDATE notices SET status = 'done', reason = 'refreshed' WHERE id = {one}")
    ended = browser.get(address).text
    assert "Done</span>" in ended
    assert "hx-get" not in ended  # it has ended, and so has the asking
    assert place.only(f"SELECT status FROM notices WHERE id = {other}") == "failed"
    assert audited(place)[1:] == [("ops:ada", "replay", company)]


def test_an_event_of_another_environment_is_as_unknown_as_none(
    place: Place, company: str, browser: TestClient
) -> None:
    one = add_notice(place, company, "failed")
    place.do("UPDATE connections SET environment = 'production'")
    for unknown in (one, 4711, 0, "x"):
        assert browser.get(f"/ops/events/{unknown}").status_code == 404
        assert browser.post(f"/ops/events/{unknown}/replay").status_code == 404
    assert audited(place)[1:] == []
