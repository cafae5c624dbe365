"""The pages of operators, who are ada and bob."""

import pytest
from starlette.testclient import TestClient

from tests.web.conftest import Place
from tests.web.ops.operators import operator, two_operators


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Settings by which ada and bob may log in; a test file may replace this."""
    return two_operators()


@pytest.fixture
def browser(place: Place) -> TestClient:
    """A browser in which ada is logged in."""
    return operator(place)
