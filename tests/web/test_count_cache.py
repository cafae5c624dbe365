"""Counting very many invoices, once in a while."""

import pytest
from starlette.testclient import TestClient

from service.queries.invoices import StatusFilter
from service.web.count_cache import CountCache
from tests.web.conftest import Place


@pytest.mark.parametrize(
    ("many", "later", "found"), [(1, 29.0, (1, 1)), (1, 30.0, (1, 0)), (2, 0.0, (1, 0))]
)
def test_many_are_counted_again_after_half_a_minute_and_few_at_once(
    place: Place, browser: TestClient, many: int, later: float, found: tuple[int, int]
) -> None:
    times = iter([100.0, 100.0 + later])
    cache = CountCache(lambda: next(times), many)
    [connection] = place.connections()
    with place.services.database.read() as session:
        assert cache.of_company(session, connection.id, connection.supplier_id) == (1, 1)
    place.do("DELETE FROM documents")
    with place.services.database.read() as session:
        assert cache.of_company(session, connection.id, connection.supplier_id) == found


@pytest.mark.parametrize(
    ("many", "later", "found"), [(1, 29.0, (0, 1)), (1, 30.0, (1, 1)), (2, 0.0, (1, 1))]
)
def test_so_it_is_with_how_they_stand(
    place: Place, browser: TestClient, many: int, later: float, found: tuple[int, int]
) -> None:
    clock = [100.0]
    cache = CountCache(lambda: clock[0], many)
    [connection] = place.connections()

    def numbers() -> dict[str, tuple[int, ...]]:
        filters = (StatusFilter("to fix"), StatusFilter("any"))
        with place.services.database.read() as session:
            return cache.by_status(session, [connection.id], connection.supplier_id, filters)

    assert numbers() == {connection.id: (0, 1)}
    place.do('UPDATE invoices SET warnings = \'[{"text":"Fix"}]\'')
    clock[0] += later
    assert numbers() == {connection.id: found}
