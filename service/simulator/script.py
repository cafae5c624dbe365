"""Scripted faults: what the next answers will be."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from service.simulator import exact_json, faults
from service.simulator.clock import to_millis
from service.simulator.faults import CATALOGUE, Answer

Kind = Literal[
    "query", "read", "companyinfo", "cdc", "batch", "create", "update", "void", "delete", "write",
    "token", "revoke", "userinfo", "accounting", "any",
]  # fmt: skip
_OAUTH = ("token", "revoke", "userinfo")
_WRITES = ("create", "update", "void", "delete")
HTML = "text/html"


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One order: for which calls, how many of them, and what happens to them.

    Without a kind it is for accounting calls. `fault` is a code of the reference. `drop` closes the
    connection at once, `lose` after the work, `cut` in the middle of the answer. With none of these
    and no status, the answer is the ordinary one. `adds`: more objects for it, by entity.
    `says`: its own time. `drip`: seconds before each of its bytes; `endless`: blanks after it.
    """

    preset: str | None = None
    fault: str | None = None
    format: Literal["json", "xml", "gateway", "list", "batch"] = "json"
    company: str | None = None
    kind: Kind | None = None
    entity: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: dict[str, str] = {}
    body: Any = None
    delay: Annotated[float, msgspec.Meta(ge=0, le=300)] = 0
    drop: bool = False
    lose: bool = False
    cut: bool = False
    adds: dict[str, list[dict[str, Any]]] = {}
    says: str | None = None
    drip: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0
    endless: bool = False

    def matches(self, call: "Call") -> bool:
        kind = self.kind or _kind_of(self.preset)
        if kind == "accounting":
            kind_fits = call.kind not in _OAUTH
        elif kind == "write":
            kind_fits = call.kind in _WRITES
        else:
            kind_fits = kind in ("any", call.kind)
        company_fits = self.company in (None, call.realm)
        entity_fits = self.entity is None or self.entity.lower() == (call.entity or "").lower()
        return kind_fits and company_fits and entity_fits

    def answer(self, call: "Call", now: datetime) -> Answer | None:
        """Return the scripted answer, or None for the ordinary one."""
        if self.preset or self.fault:
            made = self._made(call, now)
            headers = {**made.headers, **self.headers}
            return Answer(self.status or made.status, made.body, made.content_type, headers)
        if self.status is None and self.body is None:
            return None
        text = isinstance(self.body, str)
        body = self.body.encode() if text else exact_json.encode(self.body)
        content_type = "text/plain" if text and not self.body.lstrip().startswith("{") else None
        if self.body is None:
            body = b""
        return Answer(self.status or 200, body, content_type or faults.JSON, dict(self.headers))

    def _made(self, call: "Call", now: datetime) -> Answer:
        if self.preset:
            return PRESETS[self.preset](call, now)
        fault = CATALOGUE[self.fault or ""](call.token)
        return fault.xml(now) if self.format == "xml" else fault.answer(now, self.format)


@dataclass(frozen=True)
class Call:
    """What is known of a call before it is answered."""

    kind: str
    realm: str | None = None
    entity: str | None = None
    token: str = ""
    what: str = ""


class Script:
    """The rules in force, in the order in which they were given."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._cleared = asyncio.Event()

    def add(self, wanted: Any) -> None:
        """Append the rules; raises ValueError naming a bad one."""
        rules = exact_json.convert(wanted if isinstance(wanted, list) else [wanted], list[Rule])
        for rule in rules:
            if rule.preset is not None and rule.preset not in PRESETS:
                raise ValueError(f"unknown preset {rule.preset!r}; known: {', '.join(PRESETS)}")
            if rule.fault is not None and rule.fault not in CATALOGUE:
                raise ValueError(f"unknown fault {rule.fault!r}; known: {', '.join(CATALOGUE)}")
        self.rules += rules

    def take(self, call: Call) -> Rule | None:
        """Return the first rule for this call, counted down, or None."""
        for rule in self.rules:
            if rule.matches(call):
                if rule.count is not None:
                    rule.count -= 1
                    self._drop_spent()
                return rule
        return None

    def clear(self) -> None:
        """Remove all rules, and release every delayed answer."""
        self.rules = []
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hold(self, seconds: float) -> None:
        """Wait that long, or until the rules are cleared."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    def _drop_spent(self) -> None:
        self.rules = [rule for rule in self.rules if rule.count != 0]


Preset = Callable[[Call, datetime], Answer]


def _fault(fault: faults.Fault, status: int | None = None) -> Preset:
    def make(_: Call, now: datetime) -> Answer:
        made = fault.answer(now)
        return Answer(status or made.status, made.body, made.content_type, made.headers)

    return make


def _oauth(status: int, error: str, description: str | None = None) -> Preset:
    body = {"error": error}
    if description:
        body = {"error_description": description, "error": error}
    headers = {"WWW-Authenticate": faults.KEY_CHALLENGE} if status == 401 else {}
    return lambda _, __: Answer(status, exact_json.encode(body), headers=headers)


def _empty(call: Call, now: datetime) -> Answer:
    inside: dict[str, Any] = {"QueryResponse": {}}
    if call.kind == "cdc":
        inside = {"CDCResponse": [{"QueryResponse": [{}]}]}
    elif "count(" in call.what.lower():
        inside = {"QueryResponse": {"totalCount": 0}}
    return Answer(200, exact_json.encode({**inside, "time": to_millis(now)}))


_UNAVAILABLE = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
PRESETS: dict[str, Preset] = {
    "401": lambda call, now: faults.unauthenticated(call.token).answer(now),
    "401-120": _fault(faults.lost_access()),
    "403-3100": _fault(faults.unauthorized()),
    "429-json": _fault(faults.throttled()),
    "429-xml": lambda _, now: faults.throttled().xml(now),
    "5xx": _fault(faults.system_error()),
    "503-html": lambda _, __: Answer(503, _UNAVAILABLE, HTML),
    "610": _fault(faults.not_found()),
    "4000": _fault(faults.unparsable("(", 1)),
    "4002": _fault(faults.poisoned()),
    "fault-in-200": _fault(faults.system_error(), 200),
    "empty": _empty,
    "truncated": lambda _, __: Answer(200, b'{"QueryResponse":{"Invoice":[{"domain":"QBO","Id":"1'),
    "invalid_grant": _oauth(400, "invalid_grant", "Token invalid"),
    "invalid_client": _oauth(401, "invalid_client"),
}
_TOKEN_PRESETS = ("invalid_grant", "invalid_client")


def _kind_of(preset: str | None) -> str:
    return "token" if preset in _TOKEN_PRESETS else "accounting"


def presets() -> Iterable[str]:
    return PRESETS
