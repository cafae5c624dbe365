"""The reference's section 3.8, row by row, with literal bodies."""

from typing import Any

import pytest

from tests.simulator.envelopes import NOT_FOUND, STALE, fault, gateway
from tests.simulator.wire import OTHER_REALM, Wire

_NEW = {
    "CustomerRef": {"value": "2"},
    "Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}],
}
_REQUIRED = "Required param missing, need to supply the required value for the API"
_SHORT = "String length is either shorter or longer than supported by specification"
_BUSINESS = "A business validation error has occurred while processing your request"


@pytest.mark.parametrize(
    ("code", "path", "data", "message", "detail", "element"),
    [
        (
            "2020",
            "invoice",
            {"CustomerRef": {"value": "2"}},
            _REQUIRED,
            "Required parameter Line is missing in the request",
            "Line",
        ),
        (
            "2030",
            "invoice",
            {"Id": "1.5"},
            "Invalid ID",
            "Id should be a valid number. Supplied value:1.5",
            "Id",
        ),
        (
            "2050",
            "invoice",
            {"DocNumber": "x" * 45},
            _SHORT,
            "String length specified does not match the supported length. "
            "Min:0 Max:21 supported. Supplied length:45",
            "DocNumber",
        ),
        (
            "2500",
            "invoice",
            _NEW | {"CustomerRef": {"value": "583"}},
            "Invalid Reference Id",
            "Invalid Reference Id : Names element id 583 not found",
            "",
        ),
        ("610", "invoice", {"Id": "7", "SyncToken": "0"}, "Object Not Found", NOT_FOUND, ""),
        ("5010", "invoice", {"Id": "9", "SyncToken": "4"}, "Stale Object Error", STALE, ""),
        (
            "6000",
            "payment",
            {"CustomerRef": {"value": "2"}},
            _BUSINESS,
            "Business Validation Error: You must set a transaction amount.",
            "",
        ),
        (
            "6240",
            "customer",
            {"DisplayName": "Blue Heron"},
            "Duplicate Name Exists Error",
            "The name supplied already exists. : null",
            "",
        ),
        (
            "500",
            "spaceship",
            {},
            "Unsupported Operation",
            "Operation POST spaceship is not supported.",
            "",
        ),
    ],
)
def test_3_8_a_write_is_refused_in_the_servicesenvelope(
    still: Wire, code: str, path: str, data: Any, message: str, detail: str, element: str
) -> None:
    answer = still.write(path, data)
    assert answer.status_code == 400
    assert answer.text == fault(code, message, detail, element=element)


def test_3_8_2010_names_the_property_and_how_many_are_known(still: Wire) -> None:
    error = still.write("invoice", {"BadJson": True}).json()["Fault"]["Error"][0]
    assert (error["code"], error["Message"]) == (
        "2010",
        "Request has invalid or unsupported property",
    )
    assert error["Detail"].startswith(
        'Property Name:Unrecognized field "BadJson" (class com.intuit.schema.finance.v3.Invoice), '
        'not marked as ignorable (103 known properties: "Id", '
    )
    assert error["Detail"].endswith("[truncated]])\n specified is unsupported or invalid")


_THROTTLED = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
_LIMIT = "The request limit was reached.  Try again later"
_CLOSED = (
    "The account period has closed and the account books cannot be updated through the QBO "
    "Services API. Please use the QBO website to make these changes."
)
_ENDED = (
    "Subscription period has ended or canceled or there was a billing problem : You can't add "
    "data to QuickBooks Online Plus because your trial or subscription period ended."
)
_TAKEN = (
    "Duplicate Document Number Error : You must specify a different number. This number has "
    "already been used. DocNumber=1043 is assigned to another transaction."
)
_BROKEN = "An application error has occurred while processing your request"


@pytest.mark.parametrize(
    ("code", "status", "body"),
    [
        (
            "120",
            401,
            fault(
                "120",
                "AuthorizationFailure",
                ": -11014-You do not have access to use QuickBooks Online Plus.",
                "AuthorizationFault",
            ),
        ),
        (
            "3001",
            429,
            gateway(
                "3001", _THROTTLED, "The request limit was reached.  Try again later", "SERVICE"
            ),
        ),
        (
            "3100",
            403,
            gateway(
                "3100",
                "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
                None,
                "SERVICE",
            ),
        ),
        (
            "4002",
            400,
            fault(
                "4002",
                "Error processing query",
                "To email address entered is invalid: please correct it.",
            ),
        ),
        ("6140", 400, fault("6140", "Duplicate Document Number Error", _TAKEN)),
        ("6190", 400, fault("6190", "Invalid Company Status", _ENDED)),
        ("6210", 400, fault("6210", "Account Period Closed", _CLOSED)),
        (
            "10000",
            500,
            fault(
                "10000",
                _BROKEN,
                "System Failure Error: An unexpected error occurred while accessing the system.",
                "SystemFault",
            ),
        ),
    ],
)
def test_3_8_a_fault_can_be_ordered_by_its_code(
    still: Wire, code: str, status: int, body: str
) -> None:
    still.http.post("/_sim/faults", json={"fault": code, "count": 1})
    answer = still.get("invoice/9")
    assert (answer.status_code, answer.text) == (status, body)


def test_3_8_3200_repeats_the_token_and_challenges(still: Wire) -> None:
    still.simulator.clock.advance(3600)
    answer = still.get("invoice/9")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    wanted = gateway("3200", message, f"Token expired: {still.token}", "AUTHENTICATION")
    assert answer.text == wanted.replace("1794312000000", "1794315600000")


def test_3_8_3100_another_companys_token(still: Wire) -> None:
    still.connect(OTHER_REALM)
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    answer = still.get("invoice/9")
    assert (answer.status_code, answer.text) == (403, gateway("3100", message, None, "SERVICE"))


def test_3_8_every_code_of_the_table_can_be_ordered(still: Wire) -> None:
    assert still.http.get("/_sim").json()["faults"] == [
        "120", "500", "610", "1040", "2010", "2020", "2030", "2050", "2500", "3001", "3100", "3200",
        "4000", "4001", "4002", "5010", "6000", "6140", "6190", "6210", "6240", "6270", "10000",
    ]  # fmt: skip
