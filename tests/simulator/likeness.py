"""How an answer of the simulator differs from the recorded one."""

import re
from collections.abc import Iterator
from typing import Any

from tests.simulator.recordings import Recording

# What QuickBooks draws, or takes from the rest of a company that no recording shows.
UNDECIDED = re.compile(
    r"(^|\.)(Id|bId|TxnId|time|access_token|refresh_token|id_token|InvoiceLink)$"
    r"|MetaData\.|ShipFromAddr\.|ItemAccountRef\.|LastModifiedByRef\.|DepositToAccountRef\."
)
_OF_NEW_ONES = re.compile(r"\.(DocNumber|ItemRef\.name|AllowOnline\w+)$")
_KINDS = {bool: "bool", str: "text", int: "number", float: "number", type(None): "null"}


def shape(value: Any, path: str = "") -> set[tuple[str, str]]:
    """Return every path in an answer with the kind of what stands there; lists are one path."""
    if isinstance(value, dict):
        inner = [shape(part, f"{path}.{name}" if path else name) for name, part in value.items()]
        return {(path, "object")}.union(*inner)
    if isinstance(value, list):
        return {(path, "list")}.union(*(shape(part, f"{path}[]") for part in value))
    return {(path, _KINDS[type(value)])}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every single value of an answer with its path."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from leaves(part, f"{path}[{n}]")
    else:
        yield path, value


def rows(answer: Any) -> list[str]:
    """Return the ids of a query's answer in their order."""
    inside = answer.get("QueryResponse", {}) if isinstance(answer, dict) else {}
    lists = [part for part in inside.values() if isinstance(part, list)]
    return [row["Id"] for row in lists[0]] if lists else []


def differences(recording: Recording, status: int, headers: Any, answer: Any) -> list[str]:
    """Return in words what is not as the real one had it."""
    real = recording.answer
    if status != recording.raw["status"]:
        return [f"status: {recording.raw['status']}, here {status} {answer}"]
    found = [f"{part}: missing" for part in sorted(shape(real) - shape(answer))]
    found += [f"{part}: too many" for part in sorted(shape(answer) - shape(real))]
    found += _differing_headers(recording, headers)
    if rows(real) != rows(answer):
        found.append(f"order: {rows(real)[:9]}, here {rows(answer)[:9]}")
    if recording.is_own_work and not found:
        found += _differing_values(recording, answer)
    return found


def _differing_headers(recording: Recording, headers: Any) -> Iterator[str]:
    real = {name.lower(): value for name, value in recording.raw["headers"].items()}
    # Nango's proxy writes headers of its own; Intuit's are known by the trace id.
    if "intuit-tid" not in real:
        return
    for name in ("content-type", "www-authenticate", "cache-control", "expires"):
        mine = headers.get(name)
        if (real.get(name) or "").lower() != (mine or "").lower():
            yield f"{name}: {real.get(name)}, here {mine}"


def _differing_values(recording: Recording, answer: Any) -> Iterator[str]:
    created = "Id" not in recording.given
    here = dict(leaves(answer))
    for path, value in leaves(recording.answer):
        if UNDECIDED.search(path) or (created and _OF_NEW_ONES.search(path)):
            continue
        if _general(value) != _general(here.get(path)):
            yield f"{path}: {value!r}, here {here.get(path)!r}"


def _general(value: Any) -> Any:
    """Return a text without what names one company, user or release."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"\(\d+ known properties: .*\[truncated\]\]\)", "(known properties)", value)
    value = re.sub(r"-COMPANY_ID-|\b\d{16}\b", "<realm>", value)
    value = re.sub(r"https?://[^/]+/(qbo\d+/)?", "https://<host>/", value)
    value = re.sub(r"Token expired: \S+", "Token expired: <token>", value)
    return re.sub(r"You and .* were working|\. .* finished before", "<user>", value)
