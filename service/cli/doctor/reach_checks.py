"""The checks of `doctor` on the two ways across the Internet: webhooks in, alerts out."""

import time
from collections.abc import Iterator, Mapping
from secrets import token_hex

import httpx
import msgspec

from service.cli.doctor.check import CheckResult, bad, ok, warn
from service.config import parsers
from service.config.settings import Settings
from service.coordination import heartbeats
from service.errors import ConfigurationError
from service.kit import tracing
from service.kit.clock import now
from service.kit.signed_post import NotSent, SignedPost
from service.kit.tls import public_authorities
from service.monitoring.alert_sender import AlertSender, channels, send_test
from service.services import Services
from service.store.event_feed import EVENTS_MEDIA_TYPE, CloudEvent
from service.web.webhook.endpoint import NO_SIGNATURE, PATH

_SECONDS = 8.0
_PUBLIC = "public address"
_ALERTS = "alerts"
_EVENTS = "events"
_TRACES = "traces"


def public_address(settings: Settings) -> Iterator[CheckResult]:
    """Check that a webhook without a signature is answered 401 by this service at PUBLIC_URL."""
    url = settings.public_url + PATH
    try:
        answer = httpx.post(url, timeout=_SECONDS, verify=public_authorities(), trust_env=False)
    except httpx.HTTPError as e:
        yield _unreachable(settings, e)
        return
    if answer.status_code == 401 and answer.text.strip() == NO_SIGNATURE:
        yield ok(_PUBLIC, f"{url} answers 401 to a webhook without a signature, as it must")
    else:
        yield bad(_PUBLIC, f"{url} answers {answer.status_code}", _why(answer))


def _unreachable(settings: Settings, error: httpx.HTTPError) -> CheckResult:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        seen = f"the certificate of {settings.public_url} is not valid"
        return bad(_PUBLIC, seen, "install a valid certificate with its whole chain")
    seen = f"{settings.public_url} does not answer ({type(error).__name__})"
    if parsers.is_loopback(settings.public_url):
        return warn(_PUBLIC, seen, "start `infactor-quickbooks serve`")
    return bad(
        _PUBLIC,
        seen,
        "start `infactor-quickbooks serve`, and check DNS, firewall, proxy or tunnel; if Intuit's"
        " webhooks arrive (`doctor --webhook`), only this machine cannot reach its own address",
    )


def _why(answer: httpx.Response) -> str:
    if answer.status_code == 503 and "VERIFIER_TOKENS" in answer.text:
        return "set QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS where `serve` runs, and restart it"
    if answer.status_code == 401:
        return "something before this service asks for a password there: exempt /quickbook/"
    if answer.is_redirect:
        return "set PUBLIC_URL to the address that it redirects to: Intuit follows no redirect"
    if answer.status_code in (502, 504):
        return "start `infactor-quickbooks serve`: the proxy or tunnel there does not reach it"
    return "let the proxy or tunnel there pass /quickbook/ on to `infactor-quickbooks serve`"


def alerts_out(settings: Settings) -> Iterator[CheckResult]:
    """Send a test message to ALERT_URL, and check that Apprise understands ALERT_URLS."""
    if not settings.sends_alerts:
        yield ok(_ALERTS, "not configured: `infactor-quickbooks status` shows what is wrong")
        return
    try:
        found = channels(settings)
    except ConfigurationError as e:
        seen, _, advice = str(e).partition("; ")
        yield bad(_ALERTS, seen, advice)
        return
    for channel in found:
        try:
            if not isinstance(channel, AlertSender):
                yield ok(_ALERTS, f"{channel.name} is valid; `alerts test` sends a message there")
                continue
            send_test(channel, settings)
        except NotSent as e:
            advice = "check the address and the service behind it, then run `alerts test`"
            yield bad(_ALERTS, f"{channel.name} {e}", advice)
        else:
            yield ok(_ALERTS, f"{channel.name} accepted a test message")
        finally:
            channel.close()


def events_out(settings: Settings) -> Iterator[CheckResult]:
    """Send an event that says nothing to EVENTS_URL."""
    if settings.events_url is None or settings.events_secret is None:
        yield ok(_EVENTS, "not configured: they can be read by the API, if that is on")
        return
    url, secret = settings.events_url, settings.events_secret
    listener = SignedPost(url.get_secret_value(), secret.get_secret_value())
    test = CloudEvent(
        id=f"test-{token_hex(8)}",
        source=settings.public_url,
        type="events.test",
        subject="test",
        time=now(),
        partitionkey="test",
        data={},
    )
    try:
        listener.send(test.id, msgspec.json.encode(test), EVENTS_MEDIA_TYPE)
    except NotSent as e:
        yield bad(
            _EVENTS,
            f"EVENTS_URL {e}",
            "check the address, EVENTS_SECRET and the service there; it must answer 2xx to an event"
            " of a type that it does not know",
        )
    else:
        yield ok(_EVENTS, "EVENTS_URL accepted a test event")
    finally:
        listener.close()


def traces_out(settings: Settings) -> Iterator[CheckResult]:
    """Check that OTEL_EXPORTER_OTLP_ENDPOINT takes traces, and that this process can send any."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        yield ok(_TRACES, "not configured: none are sent")
        return
    try:
        from service.kit.otlp import accepts_traces
    except ImportError:
        seen, _, advice = tracing.WITHOUT_EXTRA.partition("; ")
        yield warn(_TRACES, seen, advice)
        return
    if accepts_traces(endpoint):
        yield ok(_TRACES, "OTEL_EXPORTER_OTLP_ENDPOINT accepted a request without traces")
    else:
        yield warn(
            _TRACES,
            "OTEL_EXPORTER_OTLP_ENDPOINT does not accept traces",
            "check the address and the collector there: it must take OTLP over HTTP",
        )


CHECK = "webhook"
WAITING = (
    "Waiting for a webhook. In Intuit's developer portal, open your app's Webhooks page, and choose"
    " “Send test events” in its Actions menu."
)
_POLL_SECONDS = 1.0
_ADVICE: Mapping[str, tuple[str, str]] = {
    "unsigned": (
        "a webhook arrived, but its signature is wrong: answered 401",
        "copy the verifier token of this environment from the portal's webhooks page into"
        " QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS, and restart `serve`",
    ),
    "not_configured": (
        "a webhook arrived, but `serve` has no verifier token: answered 503",
        "set QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS, and restart `serve`",
    ),
    "misdirected": (
        "a webhook arrived at a wrong address: answered 404",
        "set the Endpoint URL of the portal's webhooks page to {url}",
    ),
    "not_stored": (
        "a webhook arrived, but the database did not take it: answered 503",
        "run `infactor-quickbooks status`: it says what is wrong with the database",
    ),
    "too_large": (
        "a webhook arrived that is too long: answered 413",
        "raise WEBHOOK_MAX_BYTES",
    ),
}


def wait_for_webhook(services: Services, seconds: float) -> CheckResult:
    """Wait for a webhook for so long; return what came of it, as receivers count every 10 s."""
    began = now().replace(second=0, microsecond=0)
    with services.database.read() as session:
        before = heartbeats.answers_since(session, began)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        with services.database.read() as session:
            answers = heartbeats.answers_since(session, began)
        if answers.get("stored", 0) > before.get("stored", 0):
            return ok(CHECK, "arrived, its signature is right, and it is stored")
        for outcome, (seen, advice) in _ADVICE.items():
            if answers.get(outcome, 0) > before.get(outcome, 0):
                return bad(CHECK, seen, advice.format(url=_endpoint(services.settings)))
    return bad(
        CHECK,
        f"none arrived within {seconds:g} s",
        f"check that the portal's Endpoint URL is {_endpoint(services.settings)}, that its events"
        " are ticked, and that the check `public address` is ok",
    )


def _endpoint(settings: Settings) -> str:
    return f"{settings.public_url}/quickbook/webhook"
