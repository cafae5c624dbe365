"""Without the setting there is no API."""

import pytest

from tests.web.api.conftest import claims, signed
from tests.web.conftest import Place


@pytest.fixture
def more_settings() -> dict[str, str]:
    """As it is by default."""
    return {}


@pytest.mark.parametrize("path", ["connections", "openapi.json", "docs", "events"])
def test_there_is_nothing_unless_it_is_turned_on(place: Place, path: str) -> None:
    headers = {"Authorization": f"Bearer {signed(claims())}"}
    answer = place.browser().get(f"/api/v1/{path}", headers=headers)
    assert (answer.status_code, answer.text) == (404, "Not Found\n")


def test_it_is_never_where_suppliers_are(place: Place) -> None:
    headers = {"Authorization": f"Bearer {signed(claims())}"}
    assert place.browser().get("/quickbook/api/v1/connections", headers=headers).status_code == 404
