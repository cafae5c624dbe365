"""One company's books over real HTTP: what is asked, what is made of the answers."""

import json
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest

from service.errors import (
    Barred,
    Gone,
    Poisoned,
    Refused,
    SyncError,
    Throttled,
    TooLarge,
    TransientError,
)
from service.quickbooks.client import BearerAuth, CompanyClient, Kind, http_client
from service.quickbooks.queries import Statement, by_ids, count, page_by_id, page_by_time

if TYPE_CHECKING:
    from tests.quickbooks.conftest import Scripted

REALM = "9341455000000001"
TID = "1-5f7349e0-0fd2bee86a8a83c67a77fbb2"
INVOICE = b'{"Id":"145","SyncToken":"3","TotalAmt":269.50,"Balance":169.5}'
EXPIRED = (
    b'{"fault":{"error":[{"message":"message=AuthenticationFailed; errorCode=003200; '
    b'statusCode=401","detail":"Token expired: token-1","code":"3200","element":null}],'
    b'"type":"AUTHENTICATION"}}'
)


class Wallet:
    """Hands out token-1, token-2, …: a new one for each that was rejected."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def __call__(self, rejected: str | None) -> str:
        self.asked.append(rejected)
        return f"token-{len([old for old in self.asked if old]) + 1}"


class Unasked:
    """Remembers what was dropped."""

    def __init__(self) -> None:
        self.told: list[tuple[Kind, int, str | None]] = []

    def __call__(self, kind: Kind, count: int, tid: str | None) -> None:
        self.told.append((kind, count, tid))


class Permit:
    """Remembers what was permitted, or refuses."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.refusal: SyncError | None = None

    def __call__(self, kind: Kind) -> None:
        if self.refusal:
            raise self.refusal
        self.kinds.append(kind)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with http_client() as client:
        yield client


@pytest.fixture
def wallet() -> Wallet:
    return Wallet()


@pytest.fixture
def permit() -> Permit:
    return Permit()


@pytest.fixture
def unasked() -> Unasked:
    return Unasked()


@pytest.fixture
def company(
    intuit: "Scripted", http: httpx.Client, wallet: Wallet, permit: Permit, unasked: Unasked
) -> CompanyClient:
    return CompanyClient(http, intuit.url, REALM, BearerAuth(wallet), permit, unasked)


def failure(company: CompanyClient, error: type[SyncError] = SyncError) -> SyncError:
    with pytest.raises(error) as caught:
        company.read("Invoice", "145")
    shown = "".join([repr(caught.value), *traceback.format_exception(caught.value)])
    assert REALM not in shown
    assert "token-" not in shown
    return caught.value


def test_the_companys_own_record_comes_with_quickbooks_clock(
    intuit: "Scripted", company: CompanyClient, permit: Permit
) -> None:
    intuit.will_answer(
        b'{"CompanyInfo":{"CompanyName":"Example","Id":"1"},"time":"2026-10-01T09:20:00.456-07:00"}'
    )
    answer = company.company_info()
    assert answer.company_info == {"CompanyName": "Example", "Id": "1"}
    assert answer.time == datetime(2026, 10, 1, 16, 20, 0, 456000, UTC)
    assert "Example" not in repr(answer)
    [asked] = intuit.asked
    assert (asked.method, asked.path) == ("GET", f"/v3/company/{REALM}/companyinfo/{REALM}")
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["authorization"] == "Bearer token-1"
    assert permit.kinds == ["companyinfo"]


def test_one_object_is_read_with_its_money_exact(
    intuit: "Scripted", company: CompanyClient, permit: Permit
) -> None:
    intuit.will_answer(b'{"Invoice":' + INVOICE + b',"time":"2026-10-01T09:20:00.456-07:00"}')
    assert company.read("Invoice", "145") == {
        "Id": "145",
        "SyncToken": "3",
        "TotalAmt": Decimal("269.50"),
        "Balance": Decimal("169.5"),
    }
    assert intuit.asked[0].path == f"/v3/company/{REALM}/invoice/145"
    assert permit.kinds == ["read"]


def test_a_query_is_posted(intuit: "Scripted", company: CompanyClient, permit: Permit) -> None:
    intuit.will_answer(
        b'{"QueryResponse":{"Invoice":[' + INVOICE + b'],"startPosition":1,"maxResults":1}}'
    )
    [invoice] = company.query(by_ids("Invoice", ["145", "146"])).found
    assert invoice["TotalAmt"] == Decimal("269.50")
    [asked] = intuit.asked
    assert (asked.method, asked.path) == ("POST", f"/v3/company/{REALM}/query")
    assert asked.body == b"SELECT * FROM Invoice WHERE Id IN ('145','146') MAXRESULTS 1000"
    assert asked.headers["content-type"] == "application/text"
    assert asked.headers["accept"] == "application/json"
    assert permit.kinds == ["query"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"QueryResponse":{},"time":"2026-10-01T09:20:00.456-07:00"}',
        b'{"QueryResponse":{"startPosition":1,"maxResults":0}}',
        b'{"QueryResponse":{"Invoice":[]}}',
    ],
)
def test_no_match_is_an_empty_list(intuit: "Scripted", company: CompanyClient, body: bytes) -> None:
    intuit.will_answer(body)
    assert company.query(page_by_time("Invoice", None)).found == []


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (b'{"QueryResponse":{"totalCount":29},"time":"2026-10-01T09:20:00-07:00"}', 29),
        (b'{"QueryResponse":{"totalCount":0}}', 0),
    ],
)
def test_a_count_is_read(
    intuit: "Scripted", company: CompanyClient, permit: Permit, body: bytes, total: int
) -> None:
    intuit.will_answer(body)
    assert company.count(count("Invoice")) == total
    assert permit.kinds == ["count"]
    assert intuit.asked[0].body == b"SELECT COUNT(*) FROM Invoice"


def calls(company: CompanyClient) -> dict[str, Callable[[], object]]:
    """Return every call that there is."""
    return {
        "company_info": company.company_info,
        "read": lambda: company.read("Invoice", "145"),
        "query": lambda: company.query(page_by_time("Invoice", None)),
        "count": lambda: company.count(count("Invoice")),
        "cdc": lambda: company.cdc(["Invoice", "Customer"], datetime(2026, 10, 1, tzinfo=UTC)),
    }


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("company_info", b"{}"),
        ("company_info", b'{"CompanyInfo":{}}'),
        ("company_info", b'{"CompanyInfo":[],"time":"2026-10-01T09:20:00-07:00"}'),
        ("company_info", b'{"CompanyInfo":{},"time":"soon"}'),
        ("company_info", b'{"CompanyInfo":{},"time":1601391072830}'),
        ("read", b"{}"),
        ("read", b'{"Invoice":[]}'),
        ("read", b'{"Invoice":{}}'),
        ("read", b'{"Invoice":{"Id":"146"}}'),
        ("read", b'{"Customer":{"Id":"145"}}'),
        ("query", b"{}"),
        ("query", b'{"QueryResponse":null}'),
        ("query", b'{"QueryResponse":[]}'),
        ("query", b'{"QueryResponse":{"Invoice":{}}}'),
        ("query", b'{"QueryResponse":{"Invoice":[7]}}'),
        ("query", b'{"QueryResponse":{"Invoice":null,"Bill":[]}}'),
        ("query", b'{"QueryResponse":{"Customer":[{"Id":"1"}],"maxResults":1}}'),
        ("count", b'{"QueryResponse":{}}'),
        ("count", b'{"QueryResponse":{"totalCount":"29"}}'),
        ("count", b'{"QueryResponse":{"totalCount":-1}}'),
        ("count", b'{"QueryResponse":{"totalCount":true}}'),
        ("count", b'{"QueryResponse":{"totalCount":1.5}}'),
    ],
)
def test_an_answer_of_another_form_may_pass(
    intuit: "Scripted", company: CompanyClient, method: str, body: bytes
) -> None:
    intuit.will_answer(body, intuit_tid=TID)
    with pytest.raises(TransientError, match="something that is not") as caught:
        calls(company)[method]()
    assert caught.value.intuit_tid == TID


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
@pytest.mark.parametrize("method", ["company_info", "read", "query", "count", "cdc"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("120", Barred),
        ("3100", Barred),
        ("6190", Barred),
        ("3001", Throttled),
        ("4000", TooLarge),
        ("4001", Poisoned),
        ("4002", Poisoned),
        ("610", TransientError),
    ],
)
def test_a_code_means_the_same_whatever_was_asked_and_under_any_status(
    intuit: "Scripted",
    company: CompanyClient,
    status: int,
    method: str,
    code: str,
    error: type[SyncError],
) -> None:
    """That an object is gone is an answer to a read alone."""
    intuit.will_answer(f'{{"Fault":{{"Error":[{{"code":"{code}"}}]}}}}'.encode(), status)
    with pytest.raises(SyncError) as caught:
        calls(company)[method]()
    assert type(caught.value) is (Gone if (method, code) == ("read", "610") else error)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("company_info", TransientError),
        ("count", TransientError),
        ("read", Poisoned),
        ("query", Poisoned),
        ("cdc", Poisoned),
    ],
)
def test_json_that_cannot_be_decoded_is_a_record_s_fault_where_there_are_records(
    intuit: "Scripted", company: CompanyClient, method: str, error: type[SyncError]
) -> None:
    intuit.will_answer(b'{"Invoice":{"Id":"145","PrivateNote":"\xe9"}}')
    with pytest.raises(SyncError) as caught:
        calls(company)[method]()
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_token_that_is_refused_by_its_code_is_replaced_once(
    intuit: "Scripted", company: CompanyClient, wallet: Wallet, status: int
) -> None:
    intuit.will_answer(EXPIRED, status)
    intuit.will_answer(b'{"QueryResponse":{}}')
    assert company.query(by_ids("Invoice", ["145"])).found == []
    assert wallet.asked == [None, "token-1"]


def test_an_expired_token_is_replaced_once_and_the_same_query_sent_again(
    intuit: "Scripted", company: CompanyClient, wallet: Wallet, permit: Permit
) -> None:
    intuit.will_answer(EXPIRED, 401)
    intuit.will_answer(b'{"QueryResponse":{}}')
    assert company.query(by_ids("Invoice", ["145"])).found == []
    assert wallet.asked == [None, "token-1"]
    first, second = intuit.asked
    assert first.headers["authorization"] == "Bearer token-1"
    assert second.headers["authorization"] == "Bearer token-2"
    assert first.body == second.body == by_ids("Invoice", ["145"]).text.encode()
    assert permit.kinds == ["query"]


def test_a_second_401_may_pass_and_is_not_tried_a_third_time(
    intuit: "Scripted", company: CompanyClient, wallet: Wallet
) -> None:
    intuit.will_answer(EXPIRED, 401)
    intuit.will_answer(EXPIRED.replace(b"token-1", b"token-2"), 401, intuit_tid=TID)
    error = failure(company, TransientError)
    assert (error.code, error.intuit_tid) == ("3200", TID)
    assert wallet.asked == [None, "token-1"]
    assert len(intuit.asked) == 2


def test_a_user_without_access_is_not_helped_by_another_token(
    intuit: "Scripted", company: CompanyClient, wallet: Wallet
) -> None:
    intuit.will_answer(b'{"fault":{"error":[{"code":"120"}]}}', 401)
    failure(company, Refused)
    assert wallet.asked == [None]


def test_a_wallet_that_cannot_refresh_ends_the_request(
    intuit: "Scripted", http: httpx.Client, permit: Permit
) -> None:
    def locked(rejected: str | None) -> str:
        if rejected:
            raise TransientError("somebody else is refreshing")
        return "token-1"

    intuit.will_answer(EXPIRED, 401)
    company = CompanyClient(http, intuit.url, REALM, BearerAuth(locked), permit)
    assert str(failure(company)) == "somebody else is refreshing"
    assert len(intuit.asked) == 1


def test_nothing_is_sent_without_permission(
    intuit: "Scripted", company: CompanyClient, permit: Permit, wallet: Wallet
) -> None:
    permit.refusal = Throttled("the company's limit is reached", retry_after=3)
    assert failure(company) is permit.refusal
    assert intuit.asked == []
    assert wallet.asked == []


def test_a_deleted_object_is_gone(intuit: "Scripted", company: CompanyClient) -> None:
    intuit.will_answer(
        b'{"Fault":{"Error":[{"Message":"Object Not Found","Detail":"","code":"610"}],'
        b'"type":"ValidationFault"}}',
        400,
        intuit_tid=TID,
    )
    assert failure(company, Gone).intuit_tid == TID


def test_a_redirect_is_not_followed(intuit: "Scripted", company: CompanyClient) -> None:
    intuit.will_answer(b"", 302, Location=f"{intuit.url}/elsewhere")
    failure(company, Refused)
    assert len(intuit.asked) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a"',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + REALM.encode() + b"x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"token-1 " + REALM.encode() + b"\r\n\r\n",
    ],
    ids=["closed", "truncated", "chunk truncated", "chunk broken", "not gzip", "not HTTP"],
)
def test_a_broken_answer_may_pass(intuit: "Scripted", company: CompanyClient, raw: bytes) -> None:
    intuit.will_send(raw)
    failure(company, TransientError)


def test_a_token_that_no_header_can_hold_is_not_repeated(
    intuit: "Scripted", http: httpx.Client, permit: Permit
) -> None:
    company = CompanyClient(http, intuit.url, REALM, BearerAuth(lambda _: "token-\n1"), permit)
    failure(company, TransientError)


def test_nobody_there_may_pass(http: httpx.Client, wallet: Wallet, permit: Permit) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert "ConnectError" in str(
            failure(CompanyClient(http, url, REALM, BearerAuth(wallet), permit), TransientError)
        )


def test_silence_may_pass_and_is_marked_as_a_time_out(wallet: Wallet, permit: Permit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def impatient(request: httpx.Request) -> None:
            request.extensions["timeout"] = dict.fromkeys(
                ("connect", "read", "write", "pool"), 0.05
            )

        with http_client() as http:
            http.event_hooks["request"].append(impatient)
            error = failure(
                CompanyClient(http, url, REALM, BearerAuth(wallet), permit), TransientError
            )
    assert (str(error), error.code) == ("QuickBooks did not answer in time", "timeout")


def test_a_cookie_of_one_company_is_not_shown_to_another(
    intuit: "Scripted", http: httpx.Client, wallet: Wallet, permit: Permit
) -> None:
    for realm in ("1", "2"):
        intuit.will_answer(b'{"QueryResponse":{}}', Set_Cookie="company=1; Path=/")
        company = CompanyClient(http, intuit.url, realm, BearerAuth(wallet), permit)
        company.query(page_by_time("Invoice", None))
    assert [asked.headers.get("cookie") for asked in intuit.asked] == [None, None]


def test_no_realm_id_and_no_token_is_logged(
    intuit: "Scripted", company: CompanyClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    intuit.will_answer(EXPIRED, 401)
    intuit.will_answer(b'{"Invoice":' + INVOICE + b"}")
    company.read("Invoice", "145")
    assert REALM not in caplog.text
    assert "token-" not in caplog.text


@pytest.mark.parametrize("bad", ["", "x", "1/../2", "1?x", "٣"])
def test_only_digits_enter_an_address(
    http: httpx.Client, wallet: Wallet, permit: Permit, company: CompanyClient, bad: str
) -> None:
    with pytest.raises(ValueError, match="a realm id is digits"):
        CompanyClient(http, "http://x", bad, BearerAuth(wallet), permit)
    with pytest.raises(ValueError, match="an id is digits"):
        company.read("Invoice", bad)
    assert permit.kinds == []


def test_the_client_takes_nothing_from_its_surroundings() -> None:
    with http_client() as http:
        assert http.follow_redirects is False
        assert http.trust_env is False
        assert http.timeout == httpx.Timeout(30, connect=5)


def test_a_thousand_invoices_come_in_one_answer(intuit: "Scripted", company: CompanyClient) -> None:
    rows = [{"Id": str(n)} for n in range(1000)]
    intuit.will_answer(json.dumps({"QueryResponse": {"Invoice": rows}}).encode())
    assert len(company.query(page_by_time("Invoice", None)).found) == 1000


SINCE = datetime(2026, 10, 1, 16, 20, 0, 700000, UTC)


def row(id_: object, seconds: int = 0) -> dict[str, object]:
    at = f"2026-10-01T09:{20 + seconds // 60:02}:{seconds % 60:02}-07:00"
    return {"Id": id_, "SyncToken": "0", "MetaData": {"LastUpdatedTime": at}}


@pytest.mark.parametrize(
    ("statement", "answer", "kept", "dropped"),
    [
        (by_ids("Invoice", ["1"]), {"Invoice": [row("1"), row("901")]}, ["1"], 1),
        (by_ids("Invoice", ["1"]), {"Invoice": [row("901"), row(None), row(1)]}, [], 3),
        (by_ids("Customer", ["7"]), {"Customer": [row("8"), row("7")]}, ["7"], 1),
        (by_ids("Invoice", ["1"]), {"Invoice": [row("1")], "Customer": [row("7")]}, ["1"], 1),
        (page_by_time("Invoice", SINCE), {"Invoice": [row("1", -1), row("2")]}, ["2"], 1),
        (page_by_time("Customer", SINCE), {"Customer": [row("1", -90), row("2", 5)]}, ["2"], 1),
        (page_by_time("Invoice", None), {"Invoice": [row("1", -1), row("2")]}, ["1", "2"], 0),
        (
            page_by_time("Invoice", SINCE, most=2),
            {"Invoice": [row("1"), row("2"), row("3"), row("4")]},
            ["1", "2"],
            2,
        ),
        (page_by_id("Customer"), {"Customer": [row("1")], "Vendor": [{}, {}]}, ["1"], 2),
    ],
)
def test_what_a_query_did_not_ask_for_is_dropped_and_told(
    intuit: "Scripted",
    company: CompanyClient,
    unasked: Unasked,
    statement: Statement,
    answer: dict[str, object],
    kept: list[str],
    dropped: int,
) -> None:
    body = {"QueryResponse": {**answer, "startPosition": 1, "maxResults": 1}}
    intuit.will_answer(json.dumps(body).encode(), intuit_tid=TID)
    assert [found["Id"] for found in company.query(statement).found] == kept
    assert unasked.told == ([("query", dropped, TID)] if dropped else [])


@pytest.mark.parametrize(
    ("statement", "rows", "start"),
    [
        (page_by_time("Invoice", None, 501), [row("1")], 1),
        (page_by_time("Invoice", None), [row("1")], 501),
        (by_ids("Invoice", ["1"]), [row("1")], 2),
        (page_by_time("Invoice", None, most=2), [row("2", 5), row("1", 4)], 1),
        (page_by_time("Invoice", SINCE, most=2), [row("1", -5), row("2", -4)], 1),
    ],
    ids=["first page", "later page", "ids", "newest first", "older"],
)
def test_another_page_than_the_one_asked_for_is_not_believed(
    intuit: "Scripted",
    company: CompanyClient,
    statement: Statement,
    rows: list[dict[str, object]],
    start: int,
) -> None:
    """What stands between would never be read."""
    body = {"QueryResponse": {"Invoice": rows, "startPosition": start}}
    intuit.will_answer(json.dumps(body).encode(), intuit_tid=TID)
    with pytest.raises(TransientError, match="asked for") as caught:
        company.query(statement)
    assert caught.value.intuit_tid == TID


def test_a_full_page_stays_full_without_what_was_dropped(
    intuit: "Scripted", company: CompanyClient
) -> None:
    body = {"QueryResponse": {"Invoice": [row("1", -1), row("2"), row("3")]}}
    intuit.will_answer(json.dumps(body).encode())
    page = company.query(page_by_time("Invoice", SINCE, most=3))
    assert (len(page.found), page.given, page.unasked) == (2, 3, 1)


def test_a_million_rows_are_cut_to_the_page(intuit: "Scripted", company: CompanyClient) -> None:
    body = b'{"QueryResponse":{"Invoice":[' + b"{}," * 999_999 + b"{}]}}"
    intuit.will_answer(body)
    assert len(company.query(page_by_time("Invoice", None)).found) == 1000


def test_another_object_than_the_one_read_is_told(
    intuit: "Scripted", company: CompanyClient, unasked: Unasked
) -> None:
    intuit.will_answer(b'{"Invoice":{"Id":"901"}}', intuit_tid=TID)
    failure(company, TransientError)
    assert unasked.told == [("read", 1, TID)]


def stub(id_: str, seconds: int = 0) -> dict[str, object]:
    return {**row(id_, seconds), "status": "Deleted"}


@pytest.mark.parametrize(
    ("groups", "kept", "deleted", "dropped"),
    [
        ([{"Invoice": [row("1"), row("2", -1)]}], ["1"], [], 1),
        ([{"Invoice": [row("1"), stub("2"), stub("3", -1)]}], ["1"], ["2", "3"], 0),
        ([{"Invoice": [row("1")]}, {"Payment": [row("5"), row("6")]}], ["1"], [], 2),
        ([{"Invoice": [row("1")], "Bill": [stub("5")]}, {}], ["1"], [], 1),
        ([{"Invoice": [row("1")], "startPosition": 1, "totalCount": 1}, {}], ["1"], [], 0),
    ],
)
def test_changes_that_were_not_asked_for_are_dropped_and_told(
    intuit: "Scripted",
    company: CompanyClient,
    unasked: Unasked,
    groups: list[dict[str, object]],
    kept: list[str],
    deleted: list[str],
    dropped: int,
) -> None:
    body = {"CDCResponse": [{"QueryResponse": groups}], "time": "2026-10-01T09:30:00-07:00"}
    intuit.will_answer(json.dumps(body).encode(), intuit_tid=TID)
    changes = company.cdc(["Invoice", "Customer"], SINCE)
    assert [found["Id"] for found in changes.objects["Invoice"]] == kept
    assert list(changes.deleted["Invoice"]) == deleted
    assert unasked.told == ([("cdc", dropped, TID)] if dropped else [])
