"""The checks of `doctor` on the two ways across the Internet: webhooks in, alerts out."""

from collections.abc import Iterator

import httpx

from service.cli.doctor.check import CheckResult, bad, ok, warn
from service.config import parsers
from service.config.settings import Settings
from service.errors import ConfigurationError
from service.kit.tls import public_authorities
from service.monitoring.alert_sender import AlertSender, NotSent, channels, send_test
from service.web.webhook.endpoint import NO_SIGNATURE, PATH

_SECONDS = 8.0
_PUBLIC = "public address"
_ALERTS = "alerts"


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
            advice = "check the address, and whoever listens there; then run `alerts test`"
            yield bad(_ALERTS, f"{channel.name} {e}", advice)
        else:
            yield ok(_ALERTS, f"{channel.name} accepted a test message")
        finally:
            channel.close()
