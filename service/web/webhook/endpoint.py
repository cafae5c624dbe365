"""QuickBooks' webhooks: verified, stored, acknowledged, and only then worked on.

200 means stored. A correctly signed webhook is never refused for its content, because Intuit holds
back later events behind one that fails (reference 1.6).
"""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from secrets import token_hex

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.database.types import instant_text
from service.domain import RealmId
from service.kit import tracing
from service.kit.metrics import notices_received
from service.kit.text import one_line
from service.kit.vault import Vault
from service.quickbooks.event import FOLLOWED, Event
from service.quickbooks.webhooks import MOST_EVENTS, TooManyEvents, parse, verify
from service.store.inbox import NewNotice
from service.web.error_references import crashed
from service.web.middleware.access_log import note
from service.web.state import AppState
from service.web.webhook.intake import NotStored

log = structlog.get_logger(__name__)

PATH = "/quickbook/webhook"
NO_SIGNATURE = "an intuit-signature is needed"
_LONG_BODY = 64 * 1024
_SIGNATURE_LENGTH = 44  # SHA-256 in base64
_TRACE_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STORED = Response(headers=_HEADERS)
_MOST_HELD = 128 * 1024 * 1024  # of long bodies
_LONGEST_SECONDS = 10  # Intuit itself waits for three
_OF_BROWSERS = {b"origin", b"sec-fetch-site"}
_LONGEST_PATH = 80
_TOO_LARGE = ("too_large", 413, "Content Too Large")


class BodyBudget:
    """How many bytes all long bodies together may hold; `left` are not reserved."""

    def __init__(self, most: int) -> None:
        self.left = most

    @contextmanager
    def reservation(self) -> Iterator["Reservation"]:
        """Give one body's reservation, which is released at the end."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.left += reservation.taken


class Reservation:
    """The bytes that one body has reserved."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.taken = 0

    def reserve(self, size: int) -> bool:
        """Reserve `size` bytes in all for the body; return False if fewer are left."""
        more = size - self.taken
        if more > self._budget.left:
            return False
        self._budget.left -= more
        self.taken = size
        return True


class _Refused(Exception):
    """The webhook is not accepted; `outcome` is the name that is counted."""

    def __init__(self, outcome: str, status: int, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.status = status
        self.text = text


class Webhook:
    """ASGI application that answers webhooks, and passes everything else on to `app`.

    It stands before the middleware of pages: routing, their guards and Starlette's requests took
    half the time of an answer (tests/web/benchmark_webhook.py).
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int) -> None:
        self.app = app
        self._most_bytes = most_bytes
        self._budget = BodyBudget(_MOST_HELD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            elsewhere = _watched(scope, send) if _looks_misdirected(scope) else send
            await self.app(scope, receive, elsewhere)
            return
        began, status = time.perf_counter(), 0
        try:
            response = await self._response(scope, receive)
            status = response.status_code
            await response(scope, receive, send)
        except ClientDisconnect:  # before its body was read: nobody waits for an answer
            return
        finally:
            note(PATH, scope["method"], status, time.perf_counter() - began)

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        """Answer 200 if stored, 401 unsigned, 405, 408 or 413 if malformed, 503 to send again."""
        if scope["method"] != "POST":
            return _text("Method Not Allowed", 405, Allow="POST")
        state: AppState = scope["state"]
        try:
            with self._budget.reservation() as reservation:
                body = _Body(receive, self._most_bytes, reservation)
                await _take(state, dict(scope["headers"]), body)
        except _Refused as e:
            state["answers"].count(e.outcome)
            return _text(e.text, e.status)
        except ClientDisconnect:
            raise
        except Exception:
            return _text(f"something went wrong, reference {crashed(PATH)}", 500)
        state["answers"].count("stored")
        return _STORED


def _looks_misdirected(scope: Scope) -> bool:
    """Return whether a request may be a webhook that was sent to a wrong address.

    Intuit's have a signature; whoever tries an address by hand may have none. A browser says where
    a form comes from.
    """
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    names = {name for name, _ in scope["headers"]}
    below = scope["path"].lower().startswith("/quickbook")
    return b"intuit-signature" in names or (below and not names & _OF_BROWSERS)


def _watched(scope: Scope, send: Send) -> Send:
    """Count the request as misdirected if it finds nothing."""

    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in (404, 405):
            state: AppState = scope["state"]
            state["answers"].count("misdirected")
            log.warning("webhook.misdirected", path=one_line(scope["path"], _LONGEST_PATH))
        await send(message)

    return watched


def _text(text: str, status: int, **headers: str) -> Response:
    return PlainTextResponse(text, status, headers={**_HEADERS, **headers})


async def _take(state: AppState, headers: Mapping[bytes, bytes], coming: "_Body") -> None:
    """Verify and store one webhook; raises _Refused and ClientDisconnect."""
    services = state["services"]
    tokens = services.settings.verifier_tokens
    if not tokens:
        raise _Refused("not_configured", 503, "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set")
    signature = headers.get(b"intuit-signature", b"").decode("latin-1")
    if len(signature) != _SIGNATURE_LENGTH:
        # Without a signature the body is not even read.
        raise _Refused("unsigned", 401, NO_SIGNATURE)
    body = await coming.read(headers.get(b"content-length", b""))
    check = (body, signature, tokens, services.vault)
    if len(body) > _LONG_BODY:  # would hold up the other requests
        notices = await run_in_threadpool(_verified, *check)
    else:
        notices = _verified(*check)
    webhook_id = (notices[0].webhook_id if notices else None) or token_hex(16)
    try:
        with tracing.received(webhook_id, len(notices)):
            await state["intake"].store(notices, _trace_id(headers.get(b"intuit-t-id", b"")))
    except NotStored as e:
        raise _Refused("not_stored", 503, f"{e}: please send again") from None


@dataclass(frozen=True, slots=True)
class _Body:
    """A body that is arriving, its longest size, and its reservation."""

    receive: Receive
    most_bytes: int
    reservation: Reservation

    async def read(self, announced: bytes) -> bytes:
        """Return the body; raises _Refused if too long or slow, ClientDisconnect if it breaks off.

        Strangers, too, can make us hold bodies for a while, but not more than the budget at once.
        """
        if announced.isdigit() and int(announced) > self.most_bytes:
            raise _Refused(*_TOO_LARGE)
        chunks: list[bytes] = []
        size, more = 0, True
        ends_at = asyncio.get_running_loop().time() + _LONGEST_SECONDS
        while more:
            if chunks:  # while nothing is in memory, a slow client costs nothing
                try:
                    async with asyncio.timeout_at(ends_at):
                        message = await self.receive()
                except TimeoutError:
                    raise _Refused("not_stored", 408, "the body did not come in time") from None
            else:
                message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.most_bytes:
                raise _Refused(*_TOO_LARGE)
            if size > _LONG_BODY and not self.reservation.reserve(size):
                raise _Refused("not_stored", 503, "too much comes at once: please send again")
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)


def _trace_id(given: bytes) -> str | None:
    """Return Intuit's name of a webhook, if it is safe to log."""
    text = given.decode("latin-1")
    return text if _TRACE_ID.fullmatch(text) else None


def _verified(body: bytes, signature: str, tokens: Sequence[str], vault: Vault) -> list[NewNotice]:
    if not verify(body, signature, tokens):
        raise _Refused("unsigned", 401, "the intuit-signature does not fit the body")
    try:
        events = parse(body)
    except TooManyEvents:
        raise _Refused("too_large", 413, f"more than {MOST_EVENTS:,} events in one body") from None
    for event in events:
        entity = event.entity if event.entity in FOLLOWED else "other"
        notices_received(entity, event.problem is None).inc()
    return _new_notices(events, body, vault, token_hex(16))


def _new_notices(
    events: Sequence[Event], body: bytes, vault: Vault, webhook_id: str
) -> list[NewNotice]:
    # What cannot be parsed is stored whole, once, so that a later version can.
    keep_body = next((event for event in events if _is_unreadable(event)), None)
    return [
        _new_notice(event, body if event is keep_body else None, vault, webhook_id)
        for event in events
    ]


def _is_unreadable(event: Event) -> bool:
    return event.format == "unknown" or (event.format == "legacy" and event.entity is None)


def _new_notice(event: Event, body: bytes | None, vault: Vault, webhook_id: str) -> NewNotice:
    realm = (None, None) if event.realm_id is None else _kept_realm(vault, event.realm_id)
    return NewNotice(
        dedupe_key=event.digest,
        format=event.format,
        event_id=event.event_id,
        realm_digest=realm[0],
        realm_sealed=realm[1],
        entity=event.entity,
        operation=event.operation,
        entity_id=event.entity_id,
        deleted_id=event.deleted_id,
        changed_at=None if event.changed_at is None else instant_text(event.changed_at),
        body_sealed=(None if body is None else vault.seal(body.decode("latin-1"), event.digest)),
        reason=event.problem,
        webhook_id=webhook_id,
    )


@lru_cache(maxsize=4096)
def _kept_realm(vault: Vault, realm_id: str) -> tuple[str, str]:
    """Return digest and sealed form, cached: a company's many events need not be sealed again."""
    digest = vault.digest(RealmId(realm_id))
    return digest, vault.seal(realm_id, digest)
