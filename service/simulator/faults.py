"""The bodies in which Intuit says no."""

from dataclasses import dataclass, field
from datetime import datetime

from service.simulator import exact
from service.simulator.clock import to_millis

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

    def answer(self, now: datetime) -> Answer:
        """Return the upper-case envelope of the accounting service itself."""
        error = {"Message": self.message, "Detail": self.detail, "code": self.code, "element": ""}
        body = {"Fault": {"Error": [error], "type": self.type}, "time": to_millis(now)}
        return Answer(self.status, exact.encode(body))


@dataclass
class GatewayFault(Fault):
    """A refusal by the gateway in front of it, which writes everything in lower case."""

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
        headers = {"WWW-Authenticate": CHALLENGE} if self.status == 401 else {}
        return Answer(self.status, exact.encode(body), JSON, headers)


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


def throttled() -> GatewayFault:
    """Too many requests."""
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    detail = "The request limit was reached.  Try again later"
    return GatewayFault("3001", message, detail, 429, "SERVICE")


def throttled_xml(now: datetime) -> Answer:
    """Too many requests, in XML although JSON was asked for, as has been seen."""
    fault = throttled()
    body = (
        f'<IntuitResponse time="{to_millis(now)}" xmlns="http://schema.intuit.com/finance/v3">'
        f'<Fault type="{fault.type}"><Error code="{fault.code}">'
        f"<Message>{fault.message}</Message><Detail>{fault.detail}</Detail>"
        "</Error></Fault></IntuitResponse>"
    )
    return Answer(429, body.encode(), XML)
