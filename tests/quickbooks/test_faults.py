"""Answers of the accounting API as the protocol reference shows them (3.8), and worse ones."""

import json
import traceback
from typing import Any

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
    Unrecognised,
)
from service.quickbooks.faults import (
    CUT_SHORT,
    SPOILT,
    answer_of,
    intuit_tid,
    retry_after,
    wants_new_token,
)

TOKEN = "AB01601390262kxzxOlnHYdhtEVRXISU7piPqQrCmmbDN35Yjd"
TOKEN_ECHO = (
    b'{"warnings":null,"intuitObject":null,"fault":{"error":[{"message":'
    b'"message=AuthenticationFailed; errorCode=003200; statusCode=401",'
    b'"detail":"Token expired: AB01601390262kxzxOlnHYdhtEVRXISU7piPqQrCmmbDN35Yjd",'
    b'"code":"3200","element":null}],"type":"AUTHENTICATION"},"report":null,'
    b'"queryResponse":null,"batchItemResponse":[],"attachableResponse":[],'
    b'"syncErrorResponse":null,"requestId":null,"time":1601391072830,"status":null,'
    b'"cdcresponse":[]}'
)
THROTTLED_JSON = (
    b'{"warnings":null,"intuitObject":null,"fault":{"error":[{"message":'
    b'"message=ThrottleExceeded; errorCode=003001; statusCode=429",'
    b'"detail":"The request limit was reached.  Try again later","code":"3001",'
    b'"element":null}],"type":"SERVICE"},"report":null}'
)
THROTTLED_XML = b"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<IntuitResponse time="2016-12-07T15:27:09.527-08:00" xmlns="http://schema.intuit.com/finance/v3">
  <Fault type="SERVICE">
    <Error code="3001">
      <Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>
      <Detail>The request limit was reached.  Try again later</Detail>
    </Error>
  </Fault>
</IntuitResponse>
"""
NOT_FOUND = (
    b'{"Fault":{"Error":[{"Message":"Object Not Found","Detail":"Object Not Found : Something '
    b"you're trying to use has been made inactive. Check the fields with accounts, customers, "
    b'items, vendors or employees.","code":"610","element":""}],"type":"ValidationFault"},'
    b'"time":"2026-10-01T09:20:00.456-07:00"}'
)
UNSUPPORTED = (
    b'{"Fault":{"Error":[{"Message":"Unsupported Operation","Detail":"Operation Could not find '
    b"resource for relative : /v3/company/9341455000000001/customer/1/5 of full path: "
    b"https://c50.sandbox.qbo.intuit.com/qbo50/v3/company/9341455000000001/customer/1/5 is not "
    b'supported.","code":"500"}],"type":"ValidationFault"},"time":"2020-09-29T06:55:31.323-07:00"}'
)
WRONG_REALM = (
    b'{"fault":{"error":[{"message":"message=ApplicationAuthorizationFailed; errorCode=003100; '
    b'statusCode=403","detail":null,"code":"3100","element":null}],"type":"SERVICE"}}'
)


def fault(code: object, message: str = "Some words", type_: str = "ValidationFault") -> bytes:
    error = {"Message": message, "Detail": "secret detail", "code": code, "element": ""}
    return json.dumps({"Fault": {"Error": [error], "type": type_}}).encode()


def raised(status: int, body: bytes, headers: dict[str, str] | None = None) -> SyncError:
    with pytest.raises(SyncError) as caught:
        answer_of(status, headers or {}, body)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (401, TOKEN_ECHO, TransientError, "3200"),
        (401, b"", TransientError, None),
        (401, b'{"fault":{"error":[{"code":"120"}]}}', Barred, "120"),
        (401, fault("120", "AuthorizationFailure", "AuthorizationFault"), Barred, "120"),
        (403, WRONG_REALM, Barred, "3100"),
        (403, THROTTLED_XML.replace(b"429", b"403"), Throttled, "3001"),
        (429, THROTTLED_JSON, Throttled, "3001"),
        (429, THROTTLED_XML, Throttled, "3001"),
        (429, b"", Throttled, None),
        (429, b"<html>slow down</html>", Throttled, None),
        (429, fault("003001"), Throttled, "3001"),
        (400, NOT_FOUND, Gone, "610"),
        (400, fault(610), Gone, "610"),
        (400, fault("4000", "Error parsing query"), TooLarge, "4000"),
        (413, b"<html>Request Entity Too Large</html>", TooLarge, None),
        (414, b"", TooLarge, None),
        (400, fault("4001", "Invalid query"), Poisoned, "4001"),
        (400, fault("4002", "Error processing query"), Poisoned, "4002"),
        (500, fault("10000", "An application error", "SystemFault"), Poisoned, "10000"),
        (400, fault("6190", "Invalid Company Status"), Barred, "6190"),
        (400, UNSUPPORTED, Refused, "500"),
        (400, fault("5010", "Stale Object Error"), TransientError, "5010"),
        (400, fault("2010", "Request has invalid or unsupported property"), Refused, "2010"),
        (400, fault("2020", "Required param missing"), Refused, "2020"),
        (400, fault("2030", "Invalid ID"), Refused, "2030"),
        (400, fault("2050", "String length is too long"), Refused, "2050"),
        (400, fault("2500", "Invalid Reference Id"), Refused, "2500"),
        (400, fault("6000", "A business validation error"), Refused, "6000"),
        (400, fault("6140", "Duplicate Document Number Error"), Refused, "6140"),
        (400, fault("6210", "Account Period Closed"), Refused, "6210"),
        (400, fault("6240", "Duplicate Name Exists Error"), Refused, "6240"),
        (408, b"", TransientError, None),
        (500, b"", TransientError, None),
        (502, b"<html>Bad Gateway</html>", TransientError, None),
        (504, b"", TransientError, None),
        (599, b"null", TransientError, None),
        (302, b"", Refused, None),
        (307, b"", Refused, None),
    ],
)
def test_a_fault_means_what_the_table_says(
    status: int, body: bytes, error: type[SyncError], code: str | None
) -> None:
    found = raised(status, body)
    assert type(found) is error
    assert found.code == code


MEANT = {
    "120": Barred,
    "3100": Barred,
    "6190": Barred,
    "3200": TransientError,
    "5010": TransientError,
    "3001": Throttled,
    "610": Gone,
    "4000": TooLarge,
    "4001": Poisoned,
    "4002": Poisoned,
    "10000": Poisoned,
    "500": Refused,
    "2010": Refused,
    "6000": Refused,
    "6240": Refused,
}
XML = (
    '<?xml version="1.0"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3">'
    '<Fault type="SERVICE"><Error code="{}"><Message>m</Message></Error></Fault></IntuitResponse>'
)
UPPER = '{{"Fault":{{"Error":[{{"Message":"m","Detail":"d","code":"{}"}}],"type":"x"}}}}'
ENVELOPES = {
    "upper": UPPER,
    "number": '{{"Fault":{{"Error":[{{"code":{}}}]}}}}',
    "zeros": '{{"Fault":{{"Error":[{{"code":"00{}"}}]}}}}',
    "one error": '{{"Fault":{{"Error":{{"code":"{}"}}}}}}',
    "second error": '{{"Fault":{{"Error":[{{"Message":"m"}},{{"code":"{}"}}]}}}}',
    "known error": '{{"Fault":{{"Error":[{{"code":"99999"}},{{"code":"{}"}}]}}}}',
    "faults": '{{"Fault":[{{"Error":[{{"code":"{}"}}]}}]}}',
    "lower": '{{"warnings":null,"fault":{{"error":[{{"message":"m","code":"{}"}}],"type":"x"}}}}',
    "in words": '{{"fault":{{"error":[{{"message":"message=x; errorCode={}; statusCode=4"}}]}}}}',
    "array": "[" + UPPER + "]",
    "batch": '{{"BatchItemResponse":[{{"bId":"1"}},{{"bId":"2",' + UPPER[2:-2] + "}}]}}",
    "in a part": '{{"QueryResponse":' + UPPER + "}}",
    "in changes": '{{"CDCResponse":[{{"QueryResponse":[{{}},' + UPPER + "]}}]}}",
    "beside rows": '{{"QueryResponse":{{"Invoice":[]}},' + UPPER[2:-2] + "}}",
    "xml": XML,
    "xml, quoted otherwise": XML.replace('"{}"', "'{}'"),
    "xml, prefixed": '<q:Fault xmlns:q="x"><q:Error a="b" code="{}"/></q:Fault>',
    "xml, lower": '<fault><error code="{}"/></fault>',
    "cut": UPPER.replace('"type"', '"ty')[:-4],
    "BOM": "\ufeff" + UPPER,
}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 418, 429, 500, 503])
@pytest.mark.parametrize("code", MEANT)
def test_a_known_code_decides_under_any_status_in_any_envelope(status: int, code: str) -> None:
    if code == str(status):
        return  # no more than the status
    for name, envelope in ENVELOPES.items():
        found = raised(status, envelope.format(code).encode())
        assert (type(found), found.code) == (MEANT[code], code), name


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_code_that_only_repeats_the_status_leaves_it_to_the_status(envelope: str) -> None:
    assert type(raised(500, ENVELOPES[envelope].format("500").encode())) is TransientError


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, TransientError),
        (413, TooLarge),
        (429, Throttled),
        (302, Refused),
        (503, TransientError),
    ],
)
@pytest.mark.parametrize("envelope", [n for n in ENVELOPES if n != "known error"])
def test_where_no_code_is_known_the_status_decides(
    status: int, error: type[SyncError], envelope: str
) -> None:
    assert type(raised(status, ENVELOPES[envelope].format("99999").encode())) is error


def test_a_code_is_found_beside_bytes_that_are_no_text() -> None:
    body = UPPER.format("4002").replace('"m"', '"Jos\xe9"').encode("latin-1")
    assert type(raised(400, body)) is Poisoned


def test_a_note_that_quotes_a_fault_is_none() -> None:
    note = json.dumps({"Invoice": {"PrivateNote": '{"Fault":{"Error":[{"code":"3100"}]}}'}})
    assert "Invoice" in answer_of(200, {}, note.encode())
    assert type(raised(200, note.encode()[:-2])) is TransientError


def test_a_fault_however_deep_does_no_harm() -> None:
    body = b'{"QueryResponse":' * 900 + UPPER.format("3100").encode() + b"}" * 900
    assert "QueryResponse" in answer_of(200, {}, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, fault("99999")),
        (200, fault("99999")),
        (200, b'{"Fault":{}}'),
        (403, b""),
        (404, b"not found"),
        (404, fault("99999")),
        (418, b"{}"),
        (199, b"{}"),
    ],
)
def test_what_the_table_does_not_know_is_neither_transient_nor_permanent(
    status: int, body: bytes
) -> None:
    assert type(raised(status, body)) is Unrecognised


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b'"x"',
        b"<html>hello</html>",
        b'{"QueryResponse":{"Invoice":[{"Id":"1"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"surely {no JSON}",
    ],
)
def test_a_success_that_is_no_json_object_may_pass(body: bytes) -> None:
    assert type(raised(200, body)) is TransientError


@pytest.mark.parametrize(
    "value",
    [
        rb'"\ud83d"',
        rb'"\ude00"',
        b'"\xed\xa0\xbd"',
        b'"Jos\xe9"',
        b'"\xc3"',
        b'"a\x00b"',
        b'"a\nb"',
        rb'"\x41"',
        b"NaN",
        b"-Infinity",
        b"01",
        b"1,",
        b"9" * 5000,
        b"1e99999999999999999999",
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=str,
)
@pytest.mark.parametrize("around", [b"", b"\xef\xbb\xbf", b" \r\n"], ids=["", "BOM", "space"])
def test_a_record_may_spoil_an_answer_in_json(value: bytes, around: bytes) -> None:
    body = around + b'{"QueryResponse":{"Invoice":[{"Id":"1","Note":' + value + b"}]}}\r\n"
    found = raised(200, body, {"intuit_tid": "1-2"})
    assert (type(found), found.code, found.intuit_tid) == (Poisoned, SPOILT, "1-2")
    cut = raised(200, body.rstrip()[:-1].rstrip(b"}"))
    assert (type(cut), cut.code) == (TransientError, CUT_SHORT)


def test_a_success_is_decoded_exactly() -> None:
    answer = answer_of(200, {}, b'{"Invoice":{"TotalAmt":1234567890123456.01},"fault":null}')
    assert str(answer["Invoice"]["TotalAmt"]) == "1234567890123456.01"


@pytest.mark.parametrize(
    "error",
    [None, [], {}, "x", 5, [None], ["x"], [[]], [{}], [{"code": None}], [{"code": {"a": 1}}]],
)
@pytest.mark.parametrize("shape", ["{'Fault':{'Error':%}}", "{'fault':{'error':%}}"])
def test_a_malformed_fault_is_still_a_fault(shape: str, error: Any) -> None:
    body = shape.replace("'", '"').replace("%", json.dumps(error)).encode()
    assert type(raised(200, body)) is Unrecognised
    assert type(raised(429, body)) is Throttled


@pytest.mark.parametrize("code", ["x" * 17, "drop table", "<b>", "a@b.c", "", True, 1.5])
def test_a_code_that_is_no_code_is_not_repeated(code: object) -> None:
    found = raised(400, fault(code))
    assert found.code in (None, "True")
    assert str(code) not in str(found) or code in ("", True)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_a_token_in_the_answer_is_nowhere_in_the_error(status: int) -> None:
    upper = fault("3200", f"Token expired: {TOKEN}")
    for body in (TOKEN_ECHO, upper, TOKEN_ECHO[:-20], upper.replace(b'"code"', b'"cod"')):
        found = raised(status, body)
        shown = [str(found), repr(found), *traceback.format_exception(found)]
        assert TOKEN not in "".join(shown)
        assert TOKEN not in repr(vars(found))


def test_a_message_about_a_token_is_not_repeated_at_all() -> None:
    words = "QuickBooks did not accept the access token"
    assert str(raised(401, fault("9", "Token short1 expired"))) == f"{words} (HTTP 401, code 9)"
    assert str(raised(200, fault("3200", "Token short1"))) == f"{words} (HTTP 200, code 3200)"


def test_the_detail_and_the_realm_id_are_not_repeated() -> None:
    assert str(raised(400, UNSUPPORTED)) == (
        "QuickBooks does not know this operation (HTTP 400, code 500: Unsupported Operation)"
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("To email a.b@example.com is invalid", "To email … is invalid"),
        ("mail <a.b@example.com>, please", "mail … please"),
        ("company 9341455000000001 ended", "company … ended"),
        ("token " + "x" * 30 + " bad", "token … bad"),
        ("line\r\nbreak\x00\x1b[31m", "line break[31m"),
        ("long " * 100, ("long " * 100)[:200]),
    ],
)
def test_a_message_is_repeated_without_what_it_may_reveal(message: str, shown: str) -> None:
    found = raised(400, fault("6000", message))
    words = "QuickBooks refused the content of the request"
    assert str(found) == f"{words} (HTTP 400, code 6000: {shown})"


def test_an_xml_bomb_is_not_expanded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "x">]><Fault><Error code="&b;"/></Fault>'
    assert raised(429, bomb * 10_000).code is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "9" * 50}, 900.0),
        ({"Retry-After": "901"}, 900.0),
        (
            {
                "Retry-After": "Fri, 02 Oct 2026 16:20:00 GMT",
                "Date": "Thu, 01 Oct 2026 16:20:00 GMT",
            },
            900.0,
        ),
        ({"Retry-After": "-5"}, 60.0),
        ({"Retry-After": "soon"}, 60.0),
        ({"Retry-After": "٣"}, 60.0),
        (
            {
                "Retry-After": "Thu, 01 Oct 2026 16:21:00 GMT",
                "Date": "Thu, 01 Oct 2026 16:20:00 GMT",
            },
            60.0,
        ),
        (
            {
                "Retry-After": "Thu, 01 Oct 2026 16:20:05 -0000",
                "Date": "Thu, 01 Oct 2026 16:20:00 GMT",
            },
            5.0,
        ),
        ({"Retry-After": "Thu, 01 Oct 2009 16:20:00 GMT"}, 0.0),
    ],
)
def test_a_429_says_how_long_or_it_is_a_minute(headers: dict[str, str], seconds: float) -> None:
    found = raised(429, THROTTLED_JSON, headers)
    assert isinstance(found, Throttled)
    assert found.retry_after == seconds


def test_an_unwell_quickbooks_may_say_how_long() -> None:
    with_header, without = raised(503, b"", {"Retry-After": "7"}), raised(503, b"")
    assert isinstance(with_header, TransientError)
    assert isinstance(without, TransientError)
    assert (with_header.retry_after, without.retry_after) == (7.0, None)


@pytest.mark.parametrize("name", ["intuit_tid", "intuit-tid", "Intuit-Tid", "INTUIT_TID"])
def test_the_trace_id_is_found_under_both_names(name: str) -> None:
    found = raised(400, NOT_FOUND, {name: "1-5f7349e0-0fd2bee86a8a83c67a77fbb2"})
    assert found.intuit_tid == "1-5f7349e0-0fd2bee86a8a83c67a77fbb2"


@pytest.mark.parametrize("value", ["", "a b", "x" * 101, "é", "a\x00b", "a@b"])
def test_a_trace_id_that_is_none_is_not_kept(value: str) -> None:
    assert intuit_tid({"intuit_tid": value}) is None
    assert retry_after({"intuit_tid": value}) is None


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (401, TOKEN_ECHO, True),
        (401, b"", True),
        (401, b'{"fault":{"error":[{"code":"120"}]}}', False),
        (403, WRONG_REALM, False),
        (200, TOKEN_ECHO, True),
        (403, TOKEN_ECHO, True),
        (500, fault("3200"), True),
        (401, fault("99999"), True),
        (401, THROTTLED_JSON, False),
        (401, fault("6190"), False),
        (401, fault("3100"), False),
        (500, b"", False),
    ],
)
def test_another_token_is_wanted_where_the_token_was_refused(
    status: int, body: bytes, wanted: bool
) -> None:
    assert wants_new_token(status, body) is wanted
