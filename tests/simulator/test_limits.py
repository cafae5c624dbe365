"""The limits of the reference's section 3.6, on a clock that only the test moves."""

from collections.abc import Iterator

import pytest

from service.simulator.books.book import Book
from tests.simulator.conftest import BOOK
from tests.simulator.wire import OTHER_REALM, REALM, StoppedClock, Wire, a_config
from tests.simulators import Simulators

ONE = "select * from Invoice where Id = '145'"


@pytest.fixture
def limited(simulators: Simulators) -> Iterator[Wire]:
    """A client of a simulator with the limits as they are by default."""
    with simulators.running(a_config(), Book.of(BOOK), clock=StoppedClock()) as simulator:
        wire = Wire(simulator)
        with wire.http:
            yield wire.connect()


def _switch(wire: Wire, **switches: object) -> None:
    assert wire.http.post("/_sim/settings", json=switches).status_code == 200


def _statuses(wire: Wire, count: int) -> list[int]:
    return [wire.query(ONE).status_code for _ in range(count)]


def test_ten_calls_a_second_are_served_and_the_eleventh_is_throttled(limited: Wire) -> None:
    assert _statuses(limited, 11) == [200] * 10 + [429]
    limited.simulator.clock.advance(0.999)
    assert limited.query(ONE).status_code == 429
    limited.simulator.clock.advance(0.001)
    assert _statuses(limited, 11) == [200] * 10 + [429]


def test_five_hundred_calls_a_minute_are_served(limited: Wire) -> None:
    _switch(limited, requests_per_second=None)
    assert _statuses(limited, 501) == [200] * 500 + [429]
    limited.simulator.clock.advance(59.9)
    assert limited.query(ONE).status_code == 429
    limited.simulator.clock.advance(0.1)
    assert limited.query(ONE).status_code == 200


def test_one_companys_calls_do_not_throttle_another(limited: Wire) -> None:
    assert _statuses(limited, 11)[-1] == 429
    limited.connect(OTHER_REALM)
    assert limited.query("select * from Invoice", OTHER_REALM).status_code == 200


def test_a_throttled_call_has_intuits_body_and_no_retry_after(limited: Wire) -> None:
    _switch(limited, requests_per_second=1)
    limited.query(ONE)
    answer = limited.query(ONE)
    assert answer.headers["content-type"] == "application/json"
    assert "retry-after" not in answer.headers
    assert answer.json() == {
        "warnings": None,
        "intuitObject": None,
        "fault": {
            "error": [
                {
                    "message": "message=ThrottleExceeded; errorCode=003001; statusCode=429",
                    "detail": "The request limit was reached.  Try again later",
                    "code": "3001",
                    "element": None,
                }
            ],
            "type": "SERVICE",
        },
        "report": None,
        "queryResponse": None,
        "batchItemResponse": [],
        "attachableResponse": [],
        "syncErrorResponse": None,
        "requestId": None,
        "time": 1794312000000,
        "status": None,
        "cdcresponse": [],
    }


def test_a_throttled_call_can_be_xml_and_say_when_to_come_back(limited: Wire) -> None:
    _switch(limited, requests_per_second=1, throttled_as="xml", retry_after=17)
    limited.query(ONE)
    answer = limited.query(ONE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")
    assert answer.text == (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<IntuitResponse time="2026-11-10T04:00:00.000-08:00" '
        'xmlns="http://schema.intuit.com/finance/v3"><Fault type="SERVICE"><Error code="3001">'
        "<Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>"
        "<Detail>The request limit was reached.  Try again later</Detail>"
        "</Error></Fault></IntuitResponse>"
    )


def test_the_monthly_cap_stops_reads_until_the_next_month(limited: Wire) -> None:
    _switch(limited, reads_per_month=500_000)
    limited.http.post("/_sim/limits", json={"reads": 499_999})
    assert limited.query(ONE).status_code == 200
    limited.simulator.clock.advance(3600)
    limited.connect()
    assert limited.query(ONE).status_code == 429
    assert limited.get("invoice/145").status_code == 429
    assert limited.http.get("/_sim/limits").json()["reads"] == 500_000
    limited.simulator.clock.advance(21 * 86400)
    limited.connect()
    assert limited.query(ONE).status_code == 200
    assert limited.http.get("/_sim/limits").json() == {
        "month": "2026-12",
        "reads": 1,
        "by_company": {REALM: {"second": 1, "minute": 1, "batches": 0}},
    }


def test_writes_are_free_when_the_month_is_used_up(limited: Wire) -> None:
    _switch(limited, reads_per_month=1)
    limited.query(ONE)
    assert limited.query(ONE).status_code == 429
    assert limited.write("customer", {"DisplayName": "New"}).status_code == 200


def test_forty_batches_a_minute_are_served(limited: Wire) -> None:
    _switch(limited, requests_per_second=None)
    batch = {"BatchItemRequest": [{"bId": "1", "Query": ONE}]}
    statuses = [limited.write("batch", batch).status_code for _ in range(41)]
    assert statuses == [200] * 40 + [429]
    _switch(limited, batches_per_minute=None)
    statuses = [limited.write("batch", batch).status_code for _ in range(81)]
    assert statuses == [200] * 80 + [429]


def test_a_refused_token_is_not_counted(limited: Wire) -> None:
    token, limited.token = limited.token, "made-up"
    assert _statuses(limited, 12) == [401] * 12
    limited.token = token
    assert limited.query(ONE).status_code == 200


def test_limits_can_be_forgotten(limited: Wire) -> None:
    _statuses(limited, 10)
    limited.http.delete("/_sim/limits")
    assert limited.query(ONE).status_code == 200
