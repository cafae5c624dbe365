"""Nothing secret reaches a log line, in whatever way it gets there."""

import json
import subprocess
import sys

import pytest

from service.kit.logs import REDACTED, redact, redact_event
from service.kit.text import cause_of

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzdXBwbGllciJ9.c2lnbmF0dXJl"
ACCESS_TOKEN = "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..qvl5vN_8QIIK2XyRjMcWqg.XoQ7"
REFRESH_TOKEN = "AB11745678901Qw8aXkPzYc3nF0rT6bH2mJ5sL9dG4vE7uK"
CODE = "XAB11745678901oYcVtRqWbXzKpLmNjHgFdSaQwErTyUiOp"
REALM = "9130347957983546"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"Authorization: Bearer {ACCESS_TOKEN}", ACCESS_TOKEN),
        ("Authorization: Basic QUJjZGVmZ2hpamtsbW5vcA==", "QUJjZGVmZ2hpamtsbW5vcA"),
        (f"link {JWT} is spent", JWT),
        (f"refresh with {REFRESH_TOKEN} failed", REFRESH_TOKEN),
        ("token RT1-178-H0-17abcdefgh12345678", "RT1-178"),
        (f"GET /quickbook/connect?code={CODE}&state=short&realmId=42", "short"),
        (f"GET /quickbook/connect?code={CODE}&state=short&realmId=42", "42"),
        ("GET /quickbook/authorise?token=abc", "abc"),
        (f"no row for {REALM}", REALM),
        ("GET /v3/company/4711/invoice/12", "4711"),
        ("connect supplier.one+qb@example.com now", "supplier.one"),
        ("/view?for", "@"),
        ("path/supplier%40example.com/x", "supplier"),
        ("postgresql://infactor:hush@db/infactor", "hush"),
        ("redis://:hush@cache:6379", "hush"),
        ('{"refresh_token":"opaque-value","expires_in":3600}', "opaque-value"),
        ("grant_type=x&refresh_token=opaque-value", "opaque-value"),
        ("client_secret='opaque value'", "opaque"),
        ("(OperationalError) x\n[SQL: INSERT]\n[parameters: ('hush', 1)]\nmore", "hush"),
        ("key zJ8kQ2vX5nB7mC1lP4wR6tY9uI0oA3sD8fG5hJ2kL7k=", "zJ8kQ2vX5"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, hidden: str):
    assert hidden not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "invoice.upserted",
        "2026-11-22T08:46:01.475345Z",
        "invoice 1234567890 of connection 12: total 1234567.89, code 610",
        "POST /quickbook/webhook 200 in 12.3 ms",
        "qbk-abcdefghijklmnopqrstuvwxyz",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "a_name_of_a_function_that_is_longer_than_forty_letters",
        "https://quickbooks.api.intuit.com refused Basic authentication",
        "Uvicorn running on http://127.0.0.1:3000 (Press CTRL+C to quit)",
    ],
)
def test_what_operators_need_stays(text: str):
    assert redact(text) == text


def test_every_value_of_an_event_is_looked_at():
    event = {
        "event": "token.refused",
        "connection": 12,
        "realm": int(REALM),
        "email": "any text",
        "intuit_tid": "1-65a1b2c3-123456789012345678901234",
        "error": ValueError(f"GET ?code={CODE}"),
        "detail": {REALM: [f"Bearer {ACCESS_TOKEN}", (None, 1.5, True)], "token": "short"},
    }
    assert redact_event(None, "info", event) == {
        "event": "token.refused",
        "connection": 12,
        "realm": REDACTED,
        "email": REDACTED,
        "intuit_tid": "1-65a1b2c3-123456789012345678901234",
        "error": f"GET ?code={REDACTED}",
        "detail": {REDACTED: [f"Bearer {REDACTED}", [None, 1.5, True]], "token": REDACTED},
    }


def test_ids_by_which_one_follows_work_stay_whole_however_many_digits_they_have():
    ours = "0123456789012345678901234567890a"
    event = {"event": "invoice.recorded", "delivery": ours, "deliveries": [ours, f"x{ours}"]}
    assert redact_event(None, "info", event) == {
        "event": "invoice.recorded",
        "delivery": ours,
        "deliveries": [ours, f"x{REDACTED}a"],
    }


def test_a_trace_id_that_is_none_is_looked_at_too():
    assert redact_event(None, "info", {"intuit_tid": f"x {REALM}"})["intuit_tid"] == f"x {REDACTED}"


@pytest.mark.parametrize(
    "part", ["a-", "a.b", "eyJ-", "x@", "A1a", "://a", "password", "?a", "%40"]
)
@pytest.mark.timeout(60)  # as long as it is, it takes 0.1 s; an expression that goes back, hours
def test_a_long_hostile_text_costs_little(part: str):
    assert redact(part * 100_000)


PROGRAM = f"""
import logging, sys
import structlog
from service.kit import logs

logs.configure("INFO", sys.argv[1])
structlog.get_logger("service.web").info("notice.received", connection=3, realm="{REALM}")
structlog.get_logger().debug("too.quiet")
logging.getLogger("uvicorn.error").info("Started %s", "now")
for _ in range(3):
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
logging.getLogger("uvicorn.access").info("GET /x?code=1")
logging.getLogger("httpx").info("HTTP Request: GET /x")
logging.getLogger("alembic.runtime.migration").info("Context impl SQLiteImpl.")
logging.getLogger("pymongo.command").info("Command started: buyerEmail")
try:
    raise ValueError("refused {REFRESH_TOKEN} of someone@example.com")
except ValueError:
    logging.getLogger("dramatiq").exception("failed for %s", "someone@example.com")
raise SystemError("crashed with {ACCESS_TOKEN}")
"""


def lines_of(log_format: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    for secret in (
        REALM,
        REFRESH_TOKEN,
        "someone@",
        ACCESS_TOKEN,
        "HTTP Request",
        "GET /x",
        "buyerEmail",
    ):
        assert secret not in ended.stderr
    return ended.stderr.splitlines()


@pytest.mark.parametrize("log_format", ["auto", "json"])
def test_away_from_a_terminal_every_line_is_one_json_object(log_format: str):
    lines = [json.loads(line) for line in lines_of(log_format)]
    assert [(line["logger"], line["level"], line["event"]) for line in lines] == [
        ("service.web", "info", "notice.received"),
        ("uvicorn.error", "info", "Started now"),
        ("uvicorn.error", "warning", "Invalid HTTP request received."),
        *[("uvicorn.error", "error", "Exception in ASGI application")] * 3,
        ("dramatiq", "error", f"failed for {REDACTED}"),
        ("service", "critical", "process.crashed"),
    ]
    assert "Traceback" in lines[6]["exception"]
    assert "SystemError" in lines[7]["exception"]
    assert lines[0]["connection"] == 3


def test_people_read_plain_lines():
    lines = lines_of("console")
    assert "notice.received" in lines[0]
    assert "connection=3" in lines[0]


def test_a_cause_has_no_address_however_long_its_words_are() -> None:
    """Looked for from each letter on, it would take an hour."""
    cause = cause_of(ValueError("no host 'user:p@ss@db', " + "token" * 100_000))
    assert cause.startswith("no host '…', tokentoken")
    assert len(cause) == 200
