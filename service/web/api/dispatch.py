"""Understands a request of the API, lets a thread answer it, and writes the answer or a problem."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from service import links
from service.errors import LinkError, OutOfTime
from service.kit.clock import now
from service.links import LinkExpired
from service.web.api import openapi
from service.web.api.problem_details import NotAnswered, ProblemKind
from service.web.api.resources import Call
from service.web.api.route_table import BASE, CALLS, ApiCall
from service.web.error_references import crashed
from service.web.state import AppState
from service.web.threads import AT_ONCE

# An adopted invoice is known by whatever Infactor's old import called it.
_ID = re.compile(r"[ -~]{1,64}")
_MOST_BYTES = 16 * 1024
_BEARER = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="infactor-quickbooks"'}
_RETRY = {"Retry-After": "5"}


class Resource:
    """ASGI application of one address, for whoever has a token."""

    def __init__(self, calls: Sequence[ApiCall], threads: CapacityLimiter) -> None:
        self._by_method = {call.method: call for call in calls}
        self._threads = threads
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[AppState] = Request(scope, receive)
        try:
            response = await self._answer(request)
        except NotAnswered as e:
            response = e.response()
        except OutOfTime:
            response = NotAnswered(
                ProblemKind.TOO_SLOW, "the database took too long", headers=_RETRY
            ).response()
        except SQLAlchemyError:
            crashed(_route(scope))
            response = NotAnswered(
                ProblemKind.UNAVAILABLE, "nothing was changed", headers=_RETRY
            ).response()
        except ClientDisconnect:
            raise
        except Exception:
            reference = crashed(_route(scope))
            response = NotAnswered(
                ProblemKind.UNEXPECTED, "an unexpected error", reference=reference
            ).response()
        await response(scope, receive, send)

    async def _answer(self, request: Request[AppState]) -> Response:
        _authenticate(request)
        call = self._by_method.get(request.method)
        if call is None:
            allowed = ", ".join(sorted(self._by_method))
            raise NotAnswered(
                ProblemKind.METHOD_NOT_ALLOWED,
                f"{request.method} is not one of {allowed}",
                headers={"Allow": allowed},
            )
        understood = Call(
            services=request.state["services"],
            query=_query(request, call),
            body=_decoded(await _body_of(request), call.body) if call.body else None,
            id=_id_of(request),
            at=now(),
        )
        answer = await to_thread.run_sync(call.work, understood, limiter=self._threads)
        return Response(msgspec.json.encode(answer), call.status, media_type="application/json")


class ReadOnly:
    """ASGI application of an address that can only be read, for all other methods."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = {"Allow": "GET, HEAD"}
        detail = f"{scope['method']} is not one of GET, HEAD"
        problem = NotAnswered(ProblemKind.METHOD_NOT_ALLOWED, detail, headers=allowed)
        await problem.response()(scope, receive, send)


class Nowhere:
    """ASGI application of every other address below `/api`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = "nothing of the API has this address"
        await NotAnswered(ProblemKind.NOT_FOUND, detail).response()(scope, receive, send)


def _authenticate(request: Request[AppState]) -> None:
    """Raise NotAnswered unless the request has a token that opens the API."""
    header = request.headers.get("authorization", "")
    if header[: len(_BEARER)].lower() != _BEARER:
        raise NotAnswered(ProblemKind.TOKEN_MISSING, "there is no bearer token", headers=_CHALLENGE)
    secret = request.state["services"].settings.infactor_shared_secret.get_secret_value()
    try:
        links.open_api(header[len(_BEARER) :].strip(), secret, now())
    except LinkError as e:
        expired = isinstance(e, LinkExpired)
        kind = ProblemKind.TOKEN_EXPIRED if expired else ProblemKind.TOKEN_REFUSED
        raise NotAnswered(kind, str(e), headers=_CHALLENGE) from None


def _query(request: Request[AppState], call: ApiCall) -> Any:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise NotAnswered(ProblemKind.INVALID_REQUEST, f"`{name}` is given twice")
        if "\0" in value:
            raise NotAnswered(ProblemKind.INVALID_REQUEST, f"`{name}` contains a zero byte")
        given[name] = value
    try:
        return msgspec.convert(given, call.query, strict=False)
    except msgspec.ValidationError as e:
        raise NotAnswered(ProblemKind.INVALID_REQUEST, _words(e, "parameters")) from None


async def _body_of(request: Request[AppState]) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise NotAnswered(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE, "`Content-Type` is not application/json"
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise NotAnswered(ProblemKind.TOO_LARGE, f"it has more than {_MOST_BYTES} bytes")
    return bytes(body)


def _decoded(body: bytes, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as e:
        raise NotAnswered(ProblemKind.INVALID_REQUEST, _words(e, "body")) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotAnswered(ProblemKind.INVALID_REQUEST, "the body is not JSON") from None


def _words(error: msgspec.ValidationError, what: str) -> str:
    """Return what is wrong, without what was sent."""
    text = str(error).replace("Object ", "").replace("`$.", "`")
    return f"the {what}: {text[:1].lower()}{text[1:]}"


def _id_of(request: Request[AppState]) -> str:
    found: str = request.path_params.get("id", "")
    if found and not _ID.fullmatch(found):
        raise NotAnswered(ProblemKind.NOT_FOUND, "nothing has such an id")
    return found


def _route(scope: Scope) -> str | None:
    return getattr(scope.get("route"), "path", None)


def routes() -> list[BaseRoute]:
    """Return the API's routes. Its own description needs no token: it says nothing of anybody."""
    threads = CapacityLimiter(AT_ONCE)
    by_path: Mapping[str, list[ApiCall]] = {call.path: [] for call in CALLS}
    for call in CALLS:
        by_path[call.path].append(call)
    return [
        *(Route(BASE + path, Resource(calls, threads)) for path, calls in by_path.items()),
        *openapi.routes,
        *(Route(route.path, ReadOnly()) for route in openapi.routes),
        Route("/api", Nowhere()),
        Route("/api/{rest:path}", Nowhere()),
    ]
