"""Identity and version of QuickBooks objects, and instants as QuickBooks writes them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from service.errors import Unmappable
from service.quickbooks.entity import Entity, entity, quickbooks_time

INVOICE: dict[str, Any] = {
    "Id": "145",
    "SyncToken": "3",
    "MetaData": {
        "CreateTime": "2026-09-29T05:58:07-07:00",
        "LastUpdatedTime": "2026-10-01T09:19:17-07:00",
    },
    "CustomerRef": {"value": "24", "name": "Sonnenschein Family Store"},
}


def test_an_object_tells_its_id_and_version() -> None:
    assert entity(INVOICE) == Entity(
        id="145",
        sync_token=3,
        last_updated=datetime(2026, 10, 1, 16, 19, 17, tzinfo=UTC),
        raw=INVOICE,
    )


def test_the_content_is_not_in_the_repr() -> None:
    assert "Sonnenschein" not in repr(entity(INVOICE))


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"Id": ...}, "Id", "is missing"),
        ({"Id": None}, "Id", "is missing"),
        ({"Id": 145}, "Id", "is not text of digits"),
        ({"Id": "secret"}, "Id", "is not text of digits"),
        ({"Id": ""}, "Id", "is not text of digits"),
        ({"Id": "٣"}, "Id", "is not text of digits"),
        ({"Id": "1" * 19}, "Id", "is too long"),
        ({"SyncToken": ...}, "SyncToken", "is missing"),
        ({"SyncToken": "-1"}, "SyncToken", "is not text of digits"),
        ({"SyncToken": "9" * 5000}, "SyncToken", "is too long"),
        ({"MetaData": ...}, "MetaData.LastUpdatedTime", "is missing"),
        ({"MetaData": "secret"}, "MetaData.LastUpdatedTime", "is missing"),
        ({"MetaData": {}}, "MetaData.LastUpdatedTime", "is missing"),
        ({"MetaData": {"LastUpdatedTime": 5}}, "MetaData.LastUpdatedTime", "is not text"),
        (
            {"MetaData": {"LastUpdatedTime": "secret"}},
            "MetaData.LastUpdatedTime",
            "is not a time with an offset",
        ),
        (
            {"MetaData": {"LastUpdatedTime": "2026-02-30T00:00:00Z"}},
            "MetaData.LastUpdatedTime",
            "is not a time that exists",
        ),
    ],
)
def test_an_odd_object_is_refused_without_its_content(
    changes: dict[str, Any], field: str, why: str
) -> None:
    raw = {name: value for name, value in {**INVOICE, **changes}.items() if value is not ...}
    with pytest.raises(Unmappable) as refused:
        entity(raw)
    assert (refused.value.field, refused.value.why) == (field, why)
    assert "secret" not in repr(refused.value)


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (datetime(2026, 10, 1, 16, 19, 17, tzinfo=UTC), "2026-10-01T16:19:17Z"),
        (datetime(2026, 10, 1, 16, 19, 17, 999999, UTC), "2026-10-01T16:19:17Z"),
        (
            datetime(2026, 10, 1, 9, 19, 17, tzinfo=timezone(timedelta(hours=-7))),
            "2026-10-01T16:19:17Z",
        ),
    ],
)
def test_a_query_gets_the_second_below_in_utc(instant: datetime, written: str) -> None:
    assert quickbooks_time(instant) == written


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        quickbooks_time(datetime(2026, 10, 1))  # noqa: DTZ001 - what is refused
