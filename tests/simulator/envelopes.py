"""Intuit's envelopes, letter by letter, at the moment at which `StoppedClock` stands."""

import json

TIME = "2026-11-10T04:00:00.000-08:00"
NOT_FOUND = (
    "Object Not Found : Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)
STALE = (
    "Stale Object Error : You and another user were working on this at the same time. "
    "Another user finished before you did, so your work was not saved."
)
# Recorded refusals with these codes have no element.
BARE = ("500", "2010", "4000", "4001", "6240", "10000")


def envelope(inside: str) -> str:
    """Return an answer with its time."""
    return f'{{{inside},"time":"{TIME}"}}'


def fault(code: str, message: str, detail: str, kind: str = "ValidationFault", **more: str) -> str:
    """Return the upper-case envelope of the accounting service."""
    error = {"Message": message, "Detail": detail, "code": code}
    if code not in BARE:
        error["element"] = more.get("element", "")
    fault = json.dumps({"Error": [error], "type": kind}, separators=(",", ":"))
    return envelope(f'"Fault":{fault}') if code != "2030" else f'{{"Fault":{fault}}}'


def gateway(code: str, message: str, detail: str | None, kind: str) -> str:
    """Return the lower-case envelope of the gateway."""
    error = {"message": message, "detail": detail, "code": code, "element": None}
    fault = json.dumps({"error": [error], "type": kind}, separators=(",", ":"))
    return (
        f'{{"warnings":null,"intuitObject":null,"fault":{fault},"report":null,'
        '"queryResponse":null,"batchItemResponse":[],"attachableResponse":[],'
        '"syncErrorResponse":null,"requestId":null,"time":1794312000000,"status":null,'
        '"cdcresponse":[]}'
    )
