"""The envelopes in which Intuit says no, and what it says about reads and limits."""

from dataclasses import dataclass, field
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from service.simulator import exact
from service.simulator.clock import to_millis
from service.simulator.records import Json

JSON = "application/json;charset=UTF-8"
XML = "application/xml;charset=UTF-8"
CHALLENGE = 'Bearer realm="Intuit", error="invalid_token"'


@dataclass(frozen=True)
class Answer:
    """One answer, ready for the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault(Exception):
    """A request is refused with a code of the reference's section 3.8."""

    code: str
    message: str
    detail: str
    status: int = 400
    type: str = "ValidationFault"
    element: str = ""

    @property
    def body(self) -> Json:
        """The fault itself, as it also stands in a batch."""
        error = {"Message": self.message, "Detail": self.detail, "code": self.code}
        return {"Error": [{**error, "element": self.element}], "type": self.type}

    def xml(self, now: datetime) -> Answer:
        """Return the fault in XML, which has been seen although JSON was asked for."""
        error = f"<Error code={quoteattr(self.code)}>"
        message = f"<Message>{escape(self.message)}</Message>"
        detail = f"<Detail>{escape(self.detail)}</Detail>"
        body = (
            f'<IntuitResponse time="{to_millis(now)}" xmlns="http://schema.intuit.com/finance/v3">'
            f"<Fault type={quoteattr(self.type)}>{error}{message}{detail}"
            "</Error></Fault></IntuitResponse>"
        )
        return Answer(self.status, body.encode(), XML, dict(self.headers))

    @property
    def headers(self) -> dict[str, str]:
        """What a fault says in headers."""
        return {}

    def answer(self, now: datetime) -> Answer:
        """Return the upper-case envelope of the accounting service itself."""
        body = {"Fault": self.body, "time": to_millis(now)}
        return Answer(self.status, exact.encode(body), JSON, self.headers)


@dataclass
class GatewayFault(Fault):
    """A refusal by the gateway in front of it, which writes everything in lower case."""

    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The challenge of a 401; Retry-After only where it is switched on."""
        challenge = {"WWW-Authenticate": CHALLENGE} if self.status == 401 else {}
        wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return {**challenge, **wait}

    def answer(self, now: datetime) -> Answer:
        """Return the lower-case envelope, whose time is in milliseconds since 1970."""
        error = {"message": self.message, "detail": self.detail or None, "code": self.code}
        body: dict[str, object] = {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [{**error, "element": None}], "type": self.type},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": int(now.timestamp() * 1000),
            "status": None,
            "cdcresponse": [],
        }
        return Answer(self.status, exact.encode(body), JSON, self.headers)


def not_found() -> Fault:
    """An id that does not exist, or not any more."""
    return Fault(
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees.",
    )


def unparsable(token: str, column: int) -> Fault:
    """A query that is not one."""
    detail = f'QueryParserError: Encountered "{token}" at line 1, column {column}.'
    return Fault("4000", "Error parsing query", detail)


def invalid_query(detail: str) -> Fault:
    """A query that reads well and asks for what cannot be."""
    return Fault("4001", "Invalid query", f"QueryValidationError: {detail}")


@dataclass
class BareRefusal(Fault):
    """A refusal by a server in front that knows no envelope, only a status."""

    def answer(self, now: datetime) -> Answer:
        """Return a page for people."""
        page = f"<html><body><h1>{self.status} {self.message}</h1></body></html>"
        return Answer(self.status, page.encode(), "text/html")


def too_many_ids(most: int, refused_as: str) -> Fault:
    """A list of ids that is longer than somebody on the way takes."""
    if refused_as == "4000":
        detail = f"QueryParserError: more than {most} values in one IN"
        return Fault("4000", "Error parsing query", detail)
    words = {"413": "Request Entity Too Large", "414": "Request-URI Too Large"}
    return BareRefusal(refused_as, words[refused_as], "", int(refused_as))


def poisoned() -> Fault:
    """A query that one bad record makes impossible."""
    return Fault(
        "4002", "Error processing query", "To email address entered is invalid: please correct it."
    )


def unsupported(what: str) -> Fault:
    """A path or operation that the API does not have."""
    return Fault("500", "Unsupported Operation", f"Operation {what} is not supported.")


def system_error(status: int = 500) -> Fault:
    """Something broke on Intuit's side."""
    message = "An application error has occurred while processing your request"
    detail = "System Failure Error: An unexpected error occurred while accessing the system."
    return Fault("10000", message, detail, status, "SystemFault")


def unauthenticated(token: str) -> GatewayFault:
    """A token that is expired, revoked or unknown; like Intuit, it is repeated in the answer."""
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return GatewayFault("3200", message, f"Token expired: {token}", 401, "AUTHENTICATION")


def unauthorized() -> GatewayFault:
    """A live token that does not open this company."""
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return GatewayFault("3100", message, "", 403, "SERVICE")


def throttled(retry_after: int | None = None) -> GatewayFault:
    """Too many requests."""
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    detail = "The request limit was reached.  Try again later"
    fault = GatewayFault("3001", message, detail, 429, "SERVICE")
    fault.retry_after = retry_after
    return fault


def lost_access() -> Fault:
    """The user who connected the company may not see it any more."""
    detail = ": -11014-You do not have access to use QuickBooks Online Plus."
    return Fault("120", "AuthorizationFailure", detail, 401, "AuthorizationFault")
