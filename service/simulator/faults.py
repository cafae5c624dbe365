"""Intuit's refusals of reads, writes and tokens, in their envelopes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from service.simulator import exact_json
from service.simulator.clock import to_millis
from service.simulator.records import Json

JSON = "application/json;charset=utf-8"
# Recorded refusals name no charset.
REFUSED = "application/json"
XML = "application/xml"
CHALLENGE = 'Bearer realm="Intuit", error="invalid_token"'
KEY_CHALLENGE = 'Basic realm="Intuit"'


@dataclass(frozen=True)
class Answer:
    """One answer, ready to send."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault(Exception):
    """A request is refused with a code of the reference's section 3.8.

    Some of the real ones have no `element`, and a few no time.
    """

    code: str
    message: str
    detail: str
    status: int = 400
    type: str = "ValidationFault"
    element: str | None = ""
    timed: bool = True

    @property
    def body(self) -> Json:
        """The fault itself, as it is also in a batch."""
        error = {"Message": self.message, "Detail": self.detail, "code": self.code}
        element = {} if self.element is None else {"element": self.element}
        return {"Error": [{**error, **element}], "type": self.type}

    def xml(self, now: datetime) -> Answer:
        """Return the fault as XML, which Intuit sometimes sends although JSON was asked for."""
        where = "" if self.element is None else f" element={quoteattr(self.element)}"
        error = f"<Error code={quoteattr(self.code)}{where}>"
        message = f"<Message>{escape(self.message)}</Message>"
        detail = f"<Detail>{escape(self.detail)}</Detail>"
        body = (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
            f'<IntuitResponse time="{to_millis(now)}" xmlns="http://schema.intuit.com/finance/v3">'
            f"<Fault type={quoteattr(self.type)}>{error}{message}{detail}"
            "</Error></Fault></IntuitResponse>"
        )
        return Answer(self.status, body.encode(), XML, dict(self.headers))

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def answer(self, now: datetime, envelope: str = "json") -> Answer:
        """Return the upper-case envelope of the accounting service, or another one."""
        body: Any = {"Fault": self.body, **({"time": to_millis(now)} if self.timed else {})}
        if envelope == "gateway":
            body = self.in_lower_case(now)
        elif envelope == "list":
            body = [body]
        elif envelope == "batch":
            body = {"BatchItemResponse": [{**body, "bId": "1"}]}
        return Answer(self.status, exact_json.encode(body), REFUSED, self.headers)

    def in_lower_case(self, now: datetime) -> Json:
        """Return the gateway's envelope, whose time is in milliseconds since 1970."""
        error = {"message": self.message, "detail": self.detail or None, "code": self.code}
        return {
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


@dataclass
class GatewayFault(Fault):
    """A refusal by the gateway, which writes everything in lower case."""

    element: str | None = None
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The challenge of a 401; Retry-After only if switched on."""
        challenge = {"WWW-Authenticate": CHALLENGE} if self.status == 401 else {}
        wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return {**challenge, **wait}

    def answer(self, now: datetime, envelope: str = "json") -> Answer:
        """Return the lower-case envelope, unless another one is asked for."""
        return super().answer(now, "gateway" if envelope == "json" else envelope)


# What a record's text stands for on the wire, so that the answer is no JSON any more.
SPOILS = {
    b"(half a surrogate pair)": rb"\ud83d",
    b"(the other half)": rb"\ude00",
    b"(a Latin-1 byte)": b"\xe9",
    b"(half of UTF-8)": b"\xc3",
    b"(a control character)": b"\x0b",
    b"(a bad escape)": rb"\x41",
    b'"(not a number)"': b"NaN",
    b'"(infinite)"': b"-Infinity",
    b'"(a number too long)"': b"9" * 5000,
    b'"(brackets)"': b"[" * 5000 + b"]" * 5000,
}


def spoilt(body: bytes) -> bytes:
    """Return the body with what QuickBooks has been seen to send inside its JSON, and worse."""
    if b"(" in body:
        for text, raw in SPOILS.items():
            body = body.replace(text, raw)
    return body


def not_found() -> Fault:
    """An id that does not exist, or was deleted."""
    return Fault(
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees.",
    )


def unparsable(token: str, column: int) -> Fault:
    detail = f'QueryParserError: Encountered "{token}" at line 1, column {column}.'
    return Fault("4000", "Error parsing query", detail, element=None)


def invalid_query(detail: str) -> Fault:
    """A query with valid syntax that asks for something impossible."""
    return Fault("4001", "Invalid query", f"QueryValidationError: {detail}", element=None)


@dataclass
class BareRefusal(Fault):
    """A refusal with a status only, by a server in front of the API."""

    def answer(self, now: datetime, envelope: str = "json") -> Answer:
        page = f"<html><body><h1>{self.status} {self.message}</h1></body></html>"
        return Answer(self.status, page.encode(), "text/html")


def too_many_ids(most: int, refused_as: str) -> Fault:
    if refused_as == "4000":
        detail = f"QueryParserError: more than {most} values in one IN"
        return Fault("4000", "Error parsing query", detail, element=None)
    words = {"413": "Request Entity Too Large", "414": "Request-URI Too Large"}
    return BareRefusal(refused_as, words[refused_as], "", int(refused_as))


def poisoned() -> Fault:
    """A query that one bad record makes fail."""
    return Fault(
        "4002", "Error processing query", "To email address entered is invalid: please correct it."
    )


def unsupported(what: str) -> Fault:
    """A path or operation that the API does not have."""
    detail = f"Operation {what} is not supported."
    return Fault("500", "Unsupported Operation", detail, element=None)


def no_resource(path: str, url: str) -> Fault:
    """A path that the API does not have."""
    return unsupported(f"Could not find resource for relative : {path} of full path: {url}")


def system_error(status: int = 500) -> Fault:
    message = "An application error has occurred while processing your request"
    detail = "System Failure Error: An unexpected error occurred while accessing the system."
    return Fault("10000", message, detail, status, "SystemFault", element=None)


def unauthenticated(token: str) -> GatewayFault:
    """An expired, revoked or unknown token; Intuit too repeats it in the answer."""
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return GatewayFault("3200", message, f"Token expired: {token}", 401, "AUTHENTICATION")


def unauthorized() -> GatewayFault:
    """A valid token for another company."""
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return GatewayFault("3100", message, "", 403, "SERVICE")


def throttled(retry_after: int | None = None) -> GatewayFault:
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    detail = "The request limit was reached.  Try again later"
    fault = GatewayFault("3001", message, detail, 429, "SERVICE")
    fault.retry_after = retry_after
    return fault


def lost_access() -> Fault:
    """The connecting user has lost access to the company."""
    detail = ": -11014-You do not have access to use QuickBooks Online Plus."
    return Fault("120", "AuthorizationFailure", detail, 401, "AuthorizationFault")


MISSING = "Required param missing, need to supply the required value for the API"
TOO_LONG = "String length is either shorter or longer than supported by specification"


def unknown_property(name: str, entity: str, known: tuple[str, ...]) -> Fault:
    """A property that the entity does not have; names of the others up to 1,000 characters."""
    listed = ", ".join(f'"{other}"' for other in known)
    listed = listed[: listed.find(",", 1000)] if len(listed) > 1000 else listed
    detail = (
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), '
        f"not marked as ignorable ({len(known)} known properties: {listed} [truncated]])\n "
        "specified is unsupported or invalid"
    )
    return Fault("2010", "Request has invalid or unsupported property", detail, element=None)


def unreadable(what: str) -> Fault:
    """A property whose value has the wrong type."""
    detail = f"Property Name:{what} specified is unsupported or invalid"
    return Fault("2010", "Request has invalid or unsupported property", detail, element=None)


def missing(name: str) -> Fault:
    detail = f"Required parameter {name} is missing in the request"
    return Fault("2020", MISSING, detail, element=name)


def invalid_id(value: object) -> Fault:
    detail = f"Id should be a valid number. Supplied value:{value}"
    return Fault("2030", "Invalid ID", detail, element="Id", timed=False)


def too_long(name: str, most: int, length: int) -> Fault:
    detail = (
        "String length specified does not match the supported length. "
        f"Min:0 Max:{most} supported. Supplied length:{length}"
    )
    return Fault("2050", TOO_LONG, detail, element=name)


def invalid_reference(value: object) -> Fault:
    detail = f"Invalid Reference Id : Names element id {value} not found"
    return Fault("2500", "Invalid Reference Id", detail)


def stale() -> Fault:
    detail = (
        "Stale Object Error : You and another user were working on this at the same time. "
        "Another user finished before you did, so your work was not saved."
    )
    return Fault("5010", "Stale Object Error", detail)


def business(why: str) -> Fault:
    """A bookkeeping rule that the write would break."""
    message = "A business validation error has occurred while processing your request"
    return Fault("6000", message, f"Business Validation Error: {why}")


def duplicate_number(number: str) -> Fault:
    detail = (
        "Duplicate Document Number Error : You must specify a different number. "
        f"This number has already been used. DocNumber={number} is assigned to another transaction."
    )
    return Fault("6140", "Duplicate Document Number Error", detail)


def subscription_ended() -> Fault:
    detail = (
        "Subscription period has ended or canceled or there was a billing problem : You can't add "
        "data to QuickBooks Online Plus because your trial or subscription period ended."
    )
    return Fault("6190", "Invalid Company Status", detail)


def books_closed() -> Fault:
    detail = (
        "The account period has closed and the account books cannot be updated through the QBO "
        "Services API. Please use the QBO website to make these changes."
    )
    return Fault("6210", "Account Period Closed", detail)


def duplicate_name() -> Fault:
    detail = "The name supplied already exists. : null"
    return Fault("6240", "Duplicate Name Exists Error", detail, element=None)


def before_inventory() -> Fault:
    """A day before an inventory item was first counted."""
    message = "Transaction date is prior to start date for inventory item"
    detail = (
        "Transactions with inventory (QOH) products cant be dated earlier than the Inventory "
        "Start Date for the product"
    )
    return Fault("6270", message, detail)


def batch_too_large(most: int, items: int) -> Fault:
    """More items than a batch takes."""
    detail = f"The batch limit size is {most}. Supplied size: {items}"
    return Fault("1040", "Batch size exceeds allowed limit", detail)


# The argument is the call's access token, which a 401 repeats.
CATALOGUE: dict[str, Callable[[str], Fault]] = {
    "120": lambda _: lost_access(),
    "500": lambda _: unsupported("GET spaceship"),
    "610": lambda _: not_found(),
    "1040": lambda _: batch_too_large(30, 31),
    "2010": lambda _: unknown_property("BadJson", "Invoice", ("DocNumber",)),
    "2020": lambda _: missing("Line"),
    "2030": lambda _: invalid_id("1.5"),
    "2050": lambda _: too_long("DocNumber", 21, 45),
    "2500": lambda _: invalid_reference("583"),
    "3001": lambda _: throttled(),
    "3100": lambda _: unauthorized(),
    "3200": unauthenticated,
    "4000": lambda _: unparsable("(", 1),
    "4001": lambda _: invalid_query("value 0 is too small. Min allowed value is 1"),
    "4002": lambda _: poisoned(),
    "5010": lambda _: stale(),
    "6000": lambda _: business("You must set a transaction amount."),
    "6140": lambda _: duplicate_number("1043"),
    "6190": lambda _: subscription_ended(),
    "6210": lambda _: books_closed(),
    "6240": lambda _: duplicate_name(),
    "6270": lambda _: before_inventory(),
    "10000": lambda _: system_error(),
}
