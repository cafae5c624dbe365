"""Errors as RFC 9457 writes them: what is wrong, and what to do."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import msgspec
from starlette.responses import Response

from service.web.api.schemas import ProblemDetails

DOCS = "/api/v1/docs"
MEDIA_TYPE = "application/problem+json"


class ProblemKind(Enum):
    """Every kind: its name, its HTTP status, its title, and what to do about it."""

    INVALID_REQUEST = (
        "invalid-request",
        400,
        "The request makes no sense",
        "Correct what `detail` names, then send it again.",
    )
    TOKEN_MISSING = (
        "token-missing",
        401,
        "No token",
        "Send `Authorization: Bearer TOKEN`, with a JWT that is signed for the purpose `api`.",
    )
    TOKEN_REFUSED = (
        "token-refused",
        401,
        "The token opens nothing",
        "Sign one as the guide says: HS256, iss infactor, aud infactor-quickbooks, purpose api,"
        " exp within an hour.",
    )
    TOKEN_EXPIRED = (
        "token-expired",
        401,
        "The token has expired",
        "Sign a new one for each call, and compare the clocks of both machines.",
    )
    NOT_FOUND = (
        "not-found",
        404,
        "There is no such thing",
        "Compare the address with the list of resources in the docs, and the id with a list.",
    )
    METHOD_NOT_ALLOWED = (
        "method-not-allowed",
        405,
        "This method does nothing here",
        "Use one that the header `Allow` names.",
    )
    CURSOR_GONE = (
        "cursor-gone",
        410,
        "The cursor leads nowhere any more",
        "Read how all is now, by /api/v1/invoices; then read the events without `after`.",
    )
    TOO_LARGE = (
        "too-large",
        413,
        "The body is too large",
        "Send the documented fields alone.",
    )
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported-media-type",
        415,
        "The body is not JSON",
        "Send JSON, with `Content-Type: application/json`.",
    )
    UNEXPECTED = (
        "unexpected",
        500,
        "Something went wrong",
        "Try once more; then tell the operators the reference, which is in the log.",
    )
    TOO_SLOW = (
        "too-slow",
        503,
        "The answer took too long",
        "Ask for less: a connection, a supplier, or a smaller `limit`.",
    )
    UNAVAILABLE = (
        "unavailable",
        503,
        "The database does not answer",
        "Try again after the seconds in `Retry-After`.",
    )

    def __init__(self, slug: str, status: int, title: str, advice: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title
        self.advice = advice


class NotAnswered(Exception):
    """A request that gets a problem instead of what it asks for."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        reference: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers
        self.reference = reference

    def response(self) -> Response:
        problem = ProblemDetails(
            type=f"{DOCS}#{self.kind.slug}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            advice=self.kind.advice,
            reference=self.reference,
        )
        return Response(
            msgspec.json.encode(problem),
            self.kind.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )
