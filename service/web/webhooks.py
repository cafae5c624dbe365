"""QuickBooks' notifications: verified, stored, acknowledged, and only then worked on.

200 means stored. A correctly signed delivery is never refused for what is in it, because Intuit
holds later events back behind one that fails (reference 1.6).
"""

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.metrics import NOTICES_RECEIVED, WEBHOOK_REQUESTS
from service.quickbooks.event import Event
from service.quickbooks.notifications import parse
from service.quickbooks.signature import verify
from service.quickbooks.vocabulary import FOLLOWED
from service.store.inbox import Arrival
from service.vault import Vault
from service.web.intake import NotStored
from service.web.state import State

PATH = "/quickbook/webhook"
_LONG_BODY = 64 * 1024
_SIGNATURE_LENGTH = 44  # SHA-256 in base64


async def webhook(request: Request[State]) -> Response:
    """Answer one delivery: 200 when it is stored, 401 unsigned, 503 when it should come again."""
    services = request.state["services"]
    tokens = services.settings.verifier_tokens
    if not tokens:
        return _answer("not_configured", 503, "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set")
    signature = request.headers.get("intuit-signature", "")
    if len(signature) != _SIGNATURE_LENGTH:
        # Strangers do not get us to hold a large body: without a signature it is not even read.
        return _answer("unsigned", 401, "an intuit-signature is needed")
    body = await request.body()
    if not verify(body, signature, tokens):
        return _answer("unsigned", 401, "the intuit-signature does not fit the body")
    if len(body) > _LONG_BODY:  # would hold up the other requests
        arrivals = await run_in_threadpool(_parsed, body, services.vault)
    else:
        arrivals = _parsed(body, services.vault)
    try:
        await request.state["intake"].store(arrivals)
    except NotStored as e:
        return _answer("not_stored", 503, f"{e}: please send again")
    return _answer("stored", 200, "")


def _parsed(body: bytes, vault: Vault) -> list[Arrival]:
    events = parse(body)
    for event in events:
        entity = event.entity if event.entity in FOLLOWED else "other"
        NOTICES_RECEIVED.labels(entity, str(event.problem is None).lower()).inc()
    return _arrivals(events, body, vault)


def _arrivals(events: Sequence[Event], body: bytes, vault: Vault) -> list[Arrival]:
    # What nobody can parse today is kept whole, once, for whoever can tomorrow.
    keep_body = next((event for event in events if event.format == "unknown"), None)
    return [_arrival(event, body if event is keep_body else None, vault) for event in events]


def _arrival(event: Event, body: bytes | None, vault: Vault) -> Arrival:
    digest = None if event.realm_id is None else vault.digest(event.realm_id)
    return Arrival(
        dedupe_key=event.digest,
        format=event.format,
        event_id=event.event_id,
        realm_digest=digest,
        realm_sealed=vault.seal(event.realm_id, digest) if event.realm_id and digest else None,
        entity=event.entity,
        operation=event.operation,
        entity_id=event.entity_id,
        deleted_id=event.deleted_id,
        changed_at=event.changed_at,
        body_sealed=(None if body is None else vault.seal(body.decode("latin-1"), event.digest)),
        ignored_because=event.problem,
    )


def _answer(outcome: str, status: int, text: str) -> Response:
    WEBHOOK_REQUESTS.labels(outcome).inc()
    return PlainTextResponse(text, status)


def routes(max_bytes: int) -> list[Route]:
    """Return the webhook's route, which reads no more than `max_bytes`."""
    return [Route(PATH, webhook, methods=["POST"], max_body_size=max_bytes)]
