"""Whatever is in a body: signed it is stored and acknowledged, unsigned it is refused.

The examples are the same in every run, so that a failure can be repeated.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from service.database.tables import Notice
from service.quickbooks.webhooks import sign
from tests.web.conftest import CONFIG, OURS, Place

pytestmark = pytest.mark.timeout(300)

FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

odd_texts = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["", "\x00", "1" * 5000, "٣", "-1", "1e5", "Invoice", "qbo.invoice.updated.v1"]
    ),
    st.characters(codec="utf-8", categories=["Cs", "Cc", "So"]).filter(lambda c: c.isascii()),
)
numbers = st.one_of(st.integers(), st.floats(), st.just(10**400))
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, odd_texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(odd_texts, inner, max_size=4)
    ),
    max_leaves=12,
)


def fields(names: tuple[str, ...], usual: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Give objects in which each field is usual, odd, or missing."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.just(usual[name]), values) for name in names}
    )


EVENT = {
    "specversion": "1.0",
    "id": "an-event",
    "source": "intuit.c291cmNl",
    "type": "qbo.invoice.updated.v1",
    "time": "2026-11-20T16:19:17Z",
    "intuitentityid": "1",
    "intuitaccountid": OURS,
    "data": {},
}
ENTITY = {
    "name": "Invoice",
    "id": "1",
    "operation": "Update",
    "lastUpdated": "2026-11-20T16:19:17.000Z",
}
cloud_events = st.lists(fields(tuple(EVENT), EVENT), min_size=1, max_size=5)
legacy = st.fixed_dictionaries(
    {
        "eventNotifications": st.lists(
            st.fixed_dictionaries(
                {
                    "realmId": st.one_of(st.just(OURS), values),
                    "dataChangeEvent": st.one_of(
                        st.fixed_dictionaries(
                            {"entities": st.lists(fields(tuple(ENTITY), ENTITY), max_size=4)}
                        ),
                        values,
                    ),
                }
            ),
            max_size=3,
        )
    }
)
as_json = st.one_of(cloud_events, legacy, values).map(lambda body: json.dumps(body).encode())
deep = st.integers(1, 100_000).map(lambda depth: b"[" * depth + b"]" * depth)
twice = st.just(b'[{"id":"a","id":"b","type":1,"type":"qbo.invoice.updated.v1"}]')


@st.composite
def cut_or_changed(draw: st.DrawFn) -> bytes:
    """Give a body that something happened to on the way."""
    body = draw(as_json)
    place = draw(st.integers(0, len(body)))
    return body[:place] + draw(st.binary(max_size=4)) + draw(st.sampled_from([b"", body[place:]]))


bodies = st.one_of(st.binary(max_size=2000), as_json, cut_or_changed(), deep, twice)


def deliver(place: Place, body: bytes, signature: str) -> int:
    """Return how a delivery is answered."""
    return place.client.post(
        "/quickbook/webhook", content=body, headers={"intuit-signature": signature}
    ).status_code


def stored(place: Place) -> int:
    """Return how many events were stored, repetitions included."""
    with place.services.database.read() as session:
        counted = func.count() + func.coalesce(func.sum(Notice.duplicates), 0)
        return int(session.execute(select(counted).select_from(Notice)).scalar_one())


@pytest.mark.both_databases("columns hold different values")
@FEW
@given(body=bodies)
def test_any_signed_body_is_acknowledged_and_visible_afterwards(place: Place, body: bytes) -> None:
    before = stored(place)
    assert deliver(place, body, sign(body, CONFIG.verifier_token)) == 200
    assert stored(place) > before


@pytest.mark.both_databases("columns hold different values")
@FEW
@given(body=bodies, signature=st.one_of(st.text(st.characters(codec="ascii"), max_size=60)))
def test_any_unsigned_body_is_refused_and_leaves_nothing(
    place: Place, body: bytes, signature: str
) -> None:
    header = "".join(c for c in signature if c.isprintable()).strip()
    assert deliver(place, body, header) == 401
    assert deliver(place, body, sign(body, "another-verifier-token")) == 401
    assert stored(place) == 0
