"""Two journeys at the same moment, on both kinds of database."""

import pytest

from tests.web.conftest import OTHER, OURS, Place
from tests.web.racing import at_once, place_of, slow_company_info


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
