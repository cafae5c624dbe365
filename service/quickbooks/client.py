"""Client of the accounting API of one company (reference 3.1 to 3.3)."""

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal

import httpx

from service.errors import Gone, Poisoned, TransientError
from service.kit.bounded_http import BoundedTransport
from service.kit.version import user_agent
from service.quickbooks.entity import parse_instant, quickbooks_time
from service.quickbooks.faults import (
    SPOILT,
    answer_of,
    intuit_tid,
    no_cookies,
    reaching_intuit,
    wants_new_token,
)
from service.quickbooks.queries import EntityName, Page, Statement, is_before, others_in, page_of

Kind = Literal["companyinfo", "read", "query", "count", "cdc"]

# The longest that a whole call takes: see `BoundedTransport`. A person waits for a single object. A
# page of 1,000 invoices can take tens of seconds; one that takes longer is made smaller. Queries in
# search of a slow record ask for less and less, and wait less.
_QUICK = httpx.Timeout(15, connect=5)
_PATIENT = httpx.Timeout(30, connect=5)
_FEW_ROWS = 100
# The most bytes of one answer, unpacked: 16 KiB for each of 1,000 invoices. A longer page is made
# smaller.
_LONGEST_ANSWER = 16 * 2**20

CDC_MOST_OBJECTS = 1000
"""The most objects that one answer of change data capture holds, of all entities together."""
CDC_FURTHEST = timedelta(days=30)
"""How far back change data capture goes."""


def http_client() -> httpx.Client:
    """Return a client to share: no redirects, no cookies, nothing from the environment."""
    return httpx.Client(
        transport=BoundedTransport(
            _LONGEST_ANSWER,
            httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=20),
        ),
        timeout=_PATIENT,
        follow_redirects=False,
        trust_env=False,
        cookies=no_cookies(),
        headers={"User-Agent": user_agent()},
    )


class BearerAuth(httpx.Auth):
    """Signs requests, and repeats one once with another token after a 401.

    `token(None)` gives the current access token; `token(rejected)` gives a different one,
    refreshing if need be. Both may raise, which ends the request. A second 401 is left to the
    caller.
    """

    requires_response_body = True

    def __init__(self, token: Callable[[str | None], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if wants_new_token(response.status_code, response.content):
            request.headers["Authorization"] = f"Bearer {self._token(token)}"
            yield request


@dataclass(frozen=True, slots=True)
class CompanyInfoAnswer:
    """A CompanyInfo record, and QuickBooks' clock when it answered."""

    company_info: dict[str, Any] = field(repr=False)
    time: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a moment; `time` is QuickBooks' clock when it answered.

    `deleted` is the time of deletion by id. `full`: the answer holds as many objects as it can, so
    there may be more.
    """

    objects: dict[EntityName, list[dict[str, Any]]] = field(repr=False)
    deleted: dict[EntityName, dict[str, datetime]]
    time: datetime
    full: bool


class CompanyClient:
    """One company's books, read only.

    `permit` is called with the kind before each call: it counts, waits, or raises. Every method
    raises a SyncError for an error or an answer of another form. Objects that nobody asked for are
    dropped; `on_unasked` is called with the kind, their number and Intuit's trace id.
    """

    def __init__(
        self,
        http: httpx.Client,
        api_url: str,
        realm_id: str,
        auth: httpx.Auth,
        permit: Callable[[Kind], None],
        on_unasked: Callable[[Kind, int, str | None], None] = lambda kind, count, tid: None,
    ) -> None:
        if not _is_digits(realm_id):
            raise ValueError("a realm id is digits")
        self._http = http
        self._realm_id = realm_id
        self._base = f"{api_url}/v3/company/{realm_id}"
        self._auth = auth
        self._permit = permit
        self._on_unasked = on_unasked
        self.time: datetime | None = None
        """QuickBooks' clock, from its last answer."""
        self.slowest = 0.0
        """The most seconds that a call of this client has taken."""

    def company_info(self) -> CompanyInfoAnswer:
        """Return the company's record: the proof that the token opens this company."""
        answer, tid = self._get("companyinfo", f"companyinfo/{self._realm_id}")
        info, time = answer.get("CompanyInfo"), answer.get("time")
        if not isinstance(info, dict) or not isinstance(time, str):
            raise _unexpected("a CompanyInfo with its time", tid)
        try:
            return CompanyInfoAnswer(info, parse_instant(time))
        except ValueError as e:
            raise _unexpected("a CompanyInfo with its time", tid) from e

    def read(self, entity: EntityName, id_: str) -> dict[str, Any]:
        """Return one object as it is now; raises Gone if it was deleted."""
        if not _is_digits(id_):
            raise ValueError("an id is digits")
        answer, tid = self._get("read", f"{entity.lower()}/{id_}")
        found = answer.get(entity)
        if isinstance(found, dict) and found.get("Id") == id_:
            return found
        if isinstance(found, dict) and "Id" in found:
            self._report_unasked("read", 1, tid)
        raise _unexpected(f"the {entity} that was asked for", tid)

    def query(self, statement: Statement) -> Page:
        """Return the rows of a query, and how many positions they take."""
        response, tid = self._query("query", statement)
        try:
            rows = page_of(statement, response)
        except ValueError as e:
            raise _unexpected(str(e), tid) from None
        self._report_unasked("query", rows.unasked, tid)
        return rows

    def count(self, statement: Statement) -> int:
        response, tid = self._query("count", statement)
        # Even of nothing Intuit states the count: without one, nothing is known (reference 3.2).
        total = response.get("totalCount")
        if type(total) is not int or total < 0:
            raise _unexpected("a count", tid)
        return total

    def cdc(self, entities: Sequence[EntityName], since: datetime) -> Changes:
        """Return what changed or was deleted since then, at most 30 days ago (reference 3.4)."""
        asked = {"entities": ",".join(entities), "changedSince": quickbooks_time(since)}
        answer, tid = self._call("cdc", "GET", "cdc", _PATIENT, params=asked)
        try:
            changes, unasked = _changes(entities, since, answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _unexpected("a CDCResponse", tid) from None
        self._report_unasked("cdc", unasked, tid)
        return changes

    def _query(self, kind: Kind, statement: Statement) -> tuple[dict[str, Any], str | None]:
        """POST, because a query of many ids outgrows an address."""
        patience = _QUICK if kind == "query" and statement.most <= _FEW_ROWS else _PATIENT
        headers = {"Content-Type": "application/text"}
        content = statement.text.encode()
        answer, tid = self._call(kind, "POST", "query", patience, headers=headers, content=content)
        response = answer.get("QueryResponse")
        if not isinstance(response, dict):
            raise _unexpected("a QueryResponse", tid)
        return response, tid

    def _get(self, kind: Kind, path: str) -> tuple[dict[str, Any], str | None]:
        return self._call(kind, "GET", path, _QUICK)

    def _call(
        self,
        kind: Kind,
        method: str,
        path: str,
        timeout: httpx.Timeout,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> tuple[dict[str, Any], str | None]:
        self._permit(kind)
        began = monotonic()
        try:
            with reaching_intuit():
                response = self._http.request(
                    method,
                    f"{self._base}/{path}",
                    headers={"Accept": "application/json", **(headers or {})},
                    params=params,
                    content=content,
                    auth=self._auth,
                    timeout=timeout,
                )
        finally:
            self.slowest = max(self.slowest, monotonic() - began)
        try:
            answer = answer_of(response.status_code, response.headers, response.content)
        except (Gone, Poisoned) as e:
            # Only a read asks for an object that may be gone, and some calls bring no records.
            gone, spoilt = isinstance(e, Gone), e.code == SPOILT
            if (gone and kind != "read") or (spoilt and kind in ("count", "companyinfo")):
                raise TransientError(str(e), intuit_tid=e.intuit_tid, code=e.code) from e
            raise
        self._note_time(answer)
        return answer, intuit_tid(response.headers)

    def _report_unasked(self, kind: Kind, count: int, tid: str | None) -> None:
        if count:
            self._on_unasked(kind, count, tid)

    def _note_time(self, answer: dict[str, Any]) -> None:
        with suppress(KeyError, TypeError, ValueError):
            self.time = parse_instant(answer["time"])


def _changes(
    entities: Sequence[EntityName], since: datetime, answer: dict[str, Any]
) -> tuple[Changes, int]:
    """Return the changes, and how many objects were not asked for.

    The answer may leave out an entity without any.
    """
    objects: dict[EntityName, list[dict[str, Any]]] = {entity: [] for entity in entities}
    deleted: dict[EntityName, dict[str, datetime]] = {entity: {} for entity in entities}
    groups = [group for part in answer["CDCResponse"] for group in part["QueryResponse"]]
    unasked = sum(others_in(group, entities) for group in groups)
    size = 0
    for entity in entities:
        for found in (found for group in groups for found in group.get(entity, [])):
            size += 1
            if found.get("status") == "Deleted":
                # Whatever its time: nobody believes a deletion before a read of its own.
                deleted[entity][_id_of(found)] = parse_instant(found["MetaData"]["LastUpdatedTime"])
            elif is_before(found, since):
                unasked += 1
            else:
                objects[entity].append(found)
    time = parse_instant(answer["time"])
    return Changes(objects, deleted, time, full=size >= CDC_MOST_OBJECTS), unasked


def _id_of(stub: dict[str, Any]) -> str:
    id_ = stub["Id"]
    if not _is_digits(id_):
        raise ValueError("an id is digits")
    return str(id_)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _unexpected(what: str, tid: str | None) -> TransientError:
    return TransientError(f"QuickBooks answered something that is not {what}", intuit_tid=tid)
