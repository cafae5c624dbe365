"""A generated company behaves as if its invoices had all been stored."""

import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from service.simulator.app import running
from service.simulator.books.book import Book, BookError
from service.simulator.generate.companies import vast_company, with_vast_company
from service.simulator.generate.vast import VastShelf
from service.simulator.records import Json, Record, Shelf
from tests.simulator.wire import Wire, a_config

REALM = "9341455000000003"
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)


def _shelves(count: int) -> tuple[VastShelf, Shelf]:
    """Return a generated shelf, and an ordinary one that holds the same records."""
    series, _ = vast_company(NOW, count)
    stored = Shelf()
    for index in range(count):
        stored.put(Record(series.record(index).data))
    return VastShelf(series), stored


def _same(found: Sequence[Record], wanted: Sequence[Record]) -> None:
    assert len(found) == len(wanted)
    assert [(r.id, bytes(r.raw)) for r in found] == [(r.id, bytes(r.raw)) for r in wanted]


def _compare(vast: VastShelf, stored: Shelf, random: Random) -> None:
    since = (NOW - timedelta(days=random.randrange(800)), random.random() < 0.5)
    until = (NOW - timedelta(days=random.randrange(800)), random.random() < 0.5)
    for bounds in ((None, None), (since, None), (None, until), (since, until)):
        _same(vast.by_id(*bounds), stored.by_id(*bounds))
        for falling in (False, True):
            found = vast.by_change(*bounds, descending=falling)
            _same(found, stored.by_change(*bounds, descending=falling))
    _same(vast.by_id()[7:40:3], stored.by_id()[7:40:3])
    _same(vast.by_change()[::-1][2:9], stored.by_change()[::-1][2:9])
    assert len(vast) == len(stored)
    assert vast.deleted == stored.deleted
    assert vast.next_id() == stored.next_id()


def _changed(record: Record, number: int, at: datetime) -> Json:
    meta = {"CreateTime": "2025-01-01T00:00:00Z", "LastUpdatedTime": at.isoformat()}
    return {**record.data, "Id": str(number), "MetaData": meta, "PrivateNote": "changed"}


@pytest.mark.parametrize("after", [False, True])
def test_a_bound_may_be_the_very_second_of_an_invoice(after: bool) -> None:
    vast, stored = _shelves(30)
    for record in stored.by_id():
        bound = (record.updated, after)
        _same(vast.by_change(bound, None), stored.by_change(bound, None))
        _same(vast.by_change(None, bound), stored.by_change(None, bound))


@pytest.mark.slow
def test_after_any_changes_it_holds_what_a_shelf_of_stored_records_holds(
    request: pytest.FixtureRequest,
) -> None:
    count, changes = (300, 120) if request.config.getoption("--long") else (100, 60)
    random = Random(11)
    vast, stored = _shelves(count)
    _compare(vast, stored, random)
    for _ in range(changes):
        record = random.choice(list(stored.by_id()))
        if random.random() < 0.3:
            for shelf in (vast, stored):
                shelf.remove(record, NOW)
        else:
            number = random.choice((record.number, record.number, random.randrange(1, 3 * count)))
            at = NOW - timedelta(seconds=random.randrange(800 * 86400))
            if random.random() < 0.3:  # the second of another one
                at = random.choice(list(stored.by_id())).updated
            new = Record(_changed(record, number, at.replace(microsecond=0)))
            for shelf in (vast, stored):
                shelf.put(new)
        wanted = stored.get(record.id)
        found = vast.get(record.id)
        assert (found and found.data) == (wanted and wanted.data)
        _compare(vast, stored, random)


def test_ids_and_times_of_change_rise_together_and_are_the_same_every_time() -> None:
    shelf, _ = _shelves(500)
    again, _ = _shelves(500)
    records = list(shelf.by_id())
    assert [r.number for r in records] == list(range(101, 601))
    assert all(a.updated < b.updated for a, b in pairwise(records))
    assert [bytes(r.raw) for r in records] == [bytes(r.raw) for r in again.by_id()]
    for record in records:
        meta = record.data["MetaData"]
        assert datetime.fromisoformat(meta["LastUpdatedTime"]) == record.updated
        assert datetime.fromisoformat(meta["CreateTime"]) <= record.updated
        assert record.data["Balance"] == record.data["TotalAmt"]


def test_a_million_invoices_take_no_memory_and_are_changed_one_by_one() -> None:
    tracemalloc.start()
    try:
        with running(a_config(generate=1_000_000), Book({})) as simulator:
            wire = Wire(simulator)
            with wire.http:
                _walk(wire.connect(REALM))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000


def _walk(wire: Wire) -> None:
    def found(text: str) -> Json:
        answer = wire.query(text, REALM)
        assert answer.status_code == 200, answer.text
        return answer.json()["QueryResponse"]

    assert found("select count(*) from Invoice") == {"totalCount": 1_000_000}
    page = found("select * from Invoice startposition 999001 maxresults 1000")
    assert [page["Invoice"][0]["Id"], page["Invoice"][-1]["Id"]] == ["1100", "101"]
    one = wire.get("invoice/500000", REALM).json()["Invoice"]
    changes = {"Id": "500000", "SyncToken": one["SyncToken"], "sparse": True, "PrivateNote": "!"}
    assert wire.write("invoice", changes, REALM).json()["Invoice"]["TotalAmt"] == one["TotalAmt"]
    wire.http.delete(f"/_sim/companies/{REALM}/Invoice/500001")
    assert found("select count(*) from Invoice") == {"totalCount": 999_999}
    ids = "select * from Invoice where Id in ('499999','500000','500001')"
    assert [row["Id"] for row in found(ids)["Invoice"]] == ["500000", "499999"]
    newest = "select * from Invoice orderby MetaData.LastUpdatedTime desc maxresults 2"
    assert [row["Id"] for row in found(newest)["Invoice"]] == ["500000", "1000100"]
    assert "Longshore Wholesale" in wire.http.get("/").text
    assert "1000999" in wire.http.get(f"/companies/{REALM}").text


def test_a_book_can_ask_for_generated_invoices() -> None:
    book = Book.of({"77": {"Generated": {"Invoice": 25}, "Payment": [{"Id": "9000"}]}})
    with running(a_config(), book) as simulator:
        company = simulator.simulator.companies["77"]
        assert len(company.shelves["Invoice"]) == 25
        assert len(company.shelves["Customer"]) == 45
        assert len(company.shelves["Payment"]) == 1


@pytest.mark.parametrize("bad", [[], {"Bill": 1}, {"Invoice": -1}, {"Invoice": "9"}])
def test_a_bad_wish_for_generated_invoices_is_refused(bad: object) -> None:
    with pytest.raises(BookError, match="77: Generated"):
        Book.of({"77": {"Generated": bad}})


def test_a_generated_company_replaces_none_of_the_book() -> None:
    theirs = {"CompanyInfo": {"CompanyName": "Theirs"}}
    book = with_vast_company(Book.of({REALM: theirs}), 25)
    assert book.companies == {
        REALM: theirs,
        "9341455000000004": {
            "CompanyInfo": {"CompanyName": "Longshore Wholesale", "Country": "US"},
            "Generated": {"Invoice": 25},
        },
    }
