"""The part of `doctor --webhook`: waits until a webhook arrives, which proves the way in."""

import time
from collections.abc import Mapping

from service.cli.doctor.check import CheckResult, bad, ok
from service.config.settings import Settings
from service.coordination import heartbeats
from service.kit.clock import now
from service.services import Services

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
