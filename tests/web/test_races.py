"""Two journeys at the same moment, on both kinds of database."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.web.conftest import OTHER, OURS, Place


def at_once(*calls: Callable[[], httpx.Response]) -> list[str]:
    """Return where the answers of calls made at the same moment lead, in the calls' order."""
    gate = threading.Barrier(len(calls))
    found: list[str] = [""] * len(calls)

    def run(number: int) -> None:
        gate.wait()
        found[number] = calls[number]().headers["location"]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def slow_company_info(place: Place) -> None:
    """Let both journeys pass the first look at whose company it is."""
    rule: dict[str, Any] = {"kind": "companyinfo", "delay": 0.5, "count": None}
    place.sim("POST", "/faults", rule)


@pytest.mark.both_databases("locks work differently")
def test_two_suppliers_with_the_same_company(place: Place) -> None:
    slow_company_info(place)
    place.consent()
    journeys = []
    for email in ("first@example.com", "second@example.com"):
        browser = place.browser()
        back = place.decided(place.begin(browser, place.token(email)))
        journeys.append(lambda browser=browser, back=back: browser.get(back))
    landed = sorted(place_of(where) for where in at_once(*journeys))
    assert landed == ["/quickbook/connected", "/quickbook/problem/company-taken"]
    assert len(place.connections()) == 1
    assert place.rows("runs") == 1
    assert place.is_granted()  # the loser's tokens are not revoked: that would cut off the winner


@pytest.mark.both_databases("locks work differently")
def test_one_supplier_with_one_company_in_two_pop_ups(place: Place) -> None:
    slow_company_info(place)
    place.consent()
    token, first, second = place.token(), place.browser(), place.browser()
    backs = [place.decided(place.begin(browser, token)) for browser in (first, second)]
    landed = at_once(lambda: first.get(backs[0]), lambda: second.get(backs[1]))
    [connection] = place.connections()
    assert landed == [f"/quickbook/connected/{connection.id}"] * 2
    assert place.rows("runs") == 1


@pytest.mark.both_databases("locks work differently")
def test_one_link_with_two_companies(place: Place) -> None:
    slow_company_info(place)
    token = place.token(another_company=True)
    first, second = place.browser(), place.browser()
    place.consent(realm=OURS)
    one = place.decided(place.begin(first, token))
    place.consent(realm=OTHER)
    other = place.decided(place.begin(second, token))
    landed = sorted(map(place_of, at_once(lambda: first.get(one), lambda: second.get(other))))
    assert landed == ["/quickbook/connected", "/quickbook/problem/link-used"]
    assert len(place.connections()) == 1
    assert [place.is_granted(OURS), place.is_granted(OTHER)].count(True) == 1


def place_of(address: str) -> str:
    return address.rpartition("/")[0]
