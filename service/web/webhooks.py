"""QuickBooks' notifications: verified, stored, acknowledged, and only then worked on.

200 means stored. A correctly signed delivery is never refused for what is in it, because Intuit
holds later events back behind one that fails (reference 1.6).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.metrics import NOTICES_RECEIVED
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
_TRACE_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


async def webhook(request: Request[State]) -> Response:
    """Answer one delivery: 200 when it is stored, 401 unsigned, 503 when it should come again."""
    services = request.state["services"]
    tokens = services.settings.verifier_tokens
    if not tokens:
        return _answer(
            request, "not_configured", 503, "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set"
        )
    signature = request.headers.get("intuit-signature", "")
    if len(signature) != _SIGNATURE_LENGTH:
        # Strangers do not get us to hold a large body: without a signature it is not even read.
        return _answer(request, "unsigned", 401, "an intuit-signature is needed")
    body = await request.body()
    if not verify(body, signature, tokens):
        return _answer(request, "unsigned", 401, "the intuit-signature does not fit the body")
    delivery_id = uuid4().hex
    if len(body) > _LONG_BODY:  # would hold up the other requests
        arrivals = await run_in_threadpool(_parsed, body, services.vault, delivery_id)
    else:
        arrivals = _parsed(body, services.vault, delivery_id)
    trace_id = request.headers.get("intuit-t-id", "")
    harmless = trace_id if _TRACE_ID.fullmatch(trace_id) else None
    try:
        await request.state["intake"].store(arrivals, harmless)
    except NotStored as e:
        return _answer(request, "not_stored", 503, f"{e}: please send again")
    return _answer(request, "stored", 200, "")


def _parsed(body: bytes, vault: Vault, delivery_id: str) -> list[Arrival]:
    events = parse(body)
    for event in events:
        entity = event.entity if event.entity in FOLLOWED else "other"
        NOTICES_RECEIVED.labels(entity, str(event.problem is None).lower()).inc()
    return _arrivals(events, body, vault, delivery_id)


def _arrivals(
    events: Sequence[Event], body: bytes, vault: Vault, delivery_id: str
) -> list[Arrival]:
    # What nobody can parse today is kept whole, once, for whoever can tomorrow.
    keep_body = next((event for event in events if event.format == "unknown"), None)
    return [
        _arrival(event, body if event is keep_body else None, vault, delivery_id)
        for event in events
    ]


def _arrival(event: Event, body: bytes | None, vault: Vault, delivery_id: str) -> Arrival:
    realm = (None, None) if event.realm_id is None else _kept_realm(vault, event.realm_id)
    return Arrival(
        dedupe_key=event.digest,
        format=event.format,
        event_id=event.event_id,
        realm_digest=realm[0],
        realm_sealed=realm[1],
        entity=event.entity,
        operation=event.operation,
        entity_id=event.entity_id,
        deleted_id=event.deleted_id,
        changed_at=event.changed_at,
        body_sealed=(None if body is None else vault.seal(body.decode("latin-1"), event.digest)),
        ignored_because=event.problem,
        delivery_id=delivery_id,
    )


@lru_cache(maxsize=4096)
def _kept_realm(vault: Vault, realm_id: str) -> tuple[str, str]:
    """Return digest and sealed form; a company's many events have no need of a new sealing each."""
    digest = vault.digest(realm_id)
    return digest, vault.seal(realm_id, digest)


def _answer(request: Request[State], outcome: str, status: int, text: str) -> Response:
    request.state["answers"].count(outcome)
    return PlainTextResponse(text, status)


def routes(max_bytes: int) -> list[Route]:
    """Return the webhook's route, which reads no more than `max_bytes`."""
    return [Route(PATH, webhook, methods=["POST"], max_body_size=max_bytes)]
