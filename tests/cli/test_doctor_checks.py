"""The checks of `doctor` one by one, where no process is needed."""

import hashlib
import sys
import threading
from collections.abc import Iterator

import pytest

from service.cli.doctor.check import CheckResult, examine, ok
from service.cli.doctor.reach_checks import (
    alerts_out,
    events_out,
    public_address,
    traces_out,
)
from service.cli.doctor.service_checks import (
    PUBLISHED_SECRET_SHA256,
    _is_public,
    _version,
    is_published,
)
from service.config.loading import settings_from
from service.config.settings import Settings
from tests.journey.deployment import SECRETS
from tests.monitoring.listener import SECRET, listening
from tests.servers import answering
from tests.traces import collecting

HUSH = "hush-hush"
SETTINGS = {
    **SECRETS,
    "QUICKBOOKS_ENVIRONMENT": "simulator",
    "QUICKBOOKS_SIMULATOR_URL": "http://127.0.0.1:9",
}


def test_the_published_session_secret_is_known_by_its_digest() -> None:
    digest = hashlib.sha256(b"known to everybody").hexdigest()
    assert is_published("known to everybody", digest)
    assert is_published(" known to everybody\n", digest)
    assert not is_published("known to nobody", digest)
    assert not is_published("known to everybody")
    assert len(bytes.fromhex(PUBLISHED_SECRET_SHA256)) == 32


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("3.6.23", "fail"),
        ("4.0.28", "fail"),
        ("4.2.0", "ok"),
        ("4.4.29", "ok"),
        ("5.0.31", "ok"),
        ("5.3.1", "warn"),
        ("6.0.5", "warn"),
        ("8.0.0-rc1", "warn"),
        ("unknown", "warn"),
    ],
)
def test_the_versions_that_infactor_and_we_can_use(version: str, verdict: str) -> None:
    assert _version(version).verdict == verdict


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("sync.infactor.io", True),
        ("203.0.113.7", False),
        ("8.8.8.8", True),
        ("10.0.0.1", False),
        ("::1", False),
        ("intranet", False),
        ("sync.local", False),
    ],
)
def test_what_looks_like_an_address_on_the_internet(host: str, public: bool) -> None:
    assert _is_public(host) == public


def test_a_check_that_hangs_or_breaks_does_not_stop_the_others() -> None:
    settings = settings_from(SECRETS)

    def hangs(_: Settings) -> Iterator[CheckResult]:
        yield ok("hangs", "so far")
        threading.Event().wait()

    def breaks(_: Settings) -> Iterator[CheckResult]:
        raise OSError(f"//{HUSH}@host")
        yield

    def works(_: Settings) -> Iterator[CheckResult]:
        yield ok("works", "well")

    checks = [("hangs", hangs), ("breaks", breaks), ("works", works)]
    found = list(examine(settings, checks, 1.0))
    assert [(f.check, f.verdict, f.seen) for f in found] == [
        ("hangs", "ok", "so far"),
        ("hangs", "fail", "no answer within 1 s"),
        ("breaks", "fail", "the check broke (OSError)"),
        ("works", "ok", "well"),
    ]


@pytest.mark.parametrize(
    ("status", "text", "verdict", "advice"),
    [
        (401, "an intuit-signature is needed", "ok", ""),
        (401, "who are you?", "fail", "exempt /quickbook/"),
        (404, "nothing", "fail", "pass /quickbook/ on"),
        (200, "a page", "fail", "pass /quickbook/ on"),
        (302, "", "fail", "Intuit follows no redirect"),
        (502, "", "fail", "does not reach it"),
        (
            503,
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set",
            "fail",
            "set QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS",
        ),
    ],
)
def test_the_public_address_answers_as_this_service_does(
    status: int, text: str, verdict: str, advice: str
) -> None:
    with answering(status, text) as url:
        (found,) = public_address(settings_from({**SETTINGS, "PUBLIC_URL": url}))
    assert found.verdict == verdict
    assert f"{url}/quickbook/webhook answers {status}" in found.seen
    assert advice in found.advice


def test_alert_url_is_tried_with_a_message() -> None:
    with listening() as listener:
        settings = settings_from(
            {
                **SETTINGS,
                "ALERT_URL": listener.url,
                "ALERT_SECRET": SECRET,
                "OPS_URL": "https://o.io",
            }
        )
        (found,) = alerts_out(settings)
        assert (found.verdict, found.seen) == ("ok", "ALERT_URL accepted a test message")
        (message,) = listener.messages()
        assert (message["type"], message["data"]["link"]) == ("alert.test", "https://o.io/ops/")
        listener.status = 403
        (found,) = alerts_out(settings)
    assert (found.verdict, found.seen) == ("fail", "ALERT_URL answered 403")


def test_events_url_is_tried_with_an_event() -> None:
    with listening() as listener:
        events = {"EVENTS_URL": listener.url, "EVENTS_SECRET": SECRET}
        (found,) = events_out(settings_from({**SETTINGS, **events}))
        assert (found.verdict, found.seen) == ("ok", "EVENTS_URL accepted a test event")
        assert listener.types() == ["events.test"]
        listener.status = 403
        (found,) = events_out(settings_from({**SETTINGS, **events}))
    assert (found.verdict, found.seen) == ("fail", "EVENTS_URL answered 403")


def test_traces_are_tried_where_they_are_to_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with collecting() as collector:
        settings = settings_from({**SETTINGS, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        (found,) = traces_out(settings)
        assert (found.verdict, collector.spans) == ("ok", [])
    with caplog.at_level("WARNING"):
        (found,) = traces_out(settings)
    assert (found.verdict, caplog.messages) == ("warn", [])
    monkeypatch.setitem(sys.modules, "service.kit.otlp", None)
    (found,) = traces_out(settings)
    assert (found.verdict, found.seen) == (
        "warn",
        "OTEL_EXPORTER_OTLP_ENDPOINT needs OpenTelemetry",
    )
    assert found.advice == "run `pip install 'infactor-quickbooks[otel]'`"
