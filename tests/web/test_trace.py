"""How many functions, files and frames a connect callback takes; `-s` prints them."""

from collections.abc import Iterator

import pytest

from tests.trace import Trace, tracing
from tests.web.conftest import Place


@pytest.fixture(autouse=True)
def trace() -> Iterator[Trace]:
    """A trace that was there before the application's threads."""
    with tracing() as made:
        yield made


def test_one_connect_callback_runs_through_few_files(trace: Trace, place: Place) -> None:
    browser = place.browser()
    place.consent()
    callback = place.decided(place.begin(browser, place.token()))
    with trace.counting():
        answer = browser.get(callback)
    print(f"\nOne connect callback: {trace}")
    assert answer.headers["location"].startswith("/quickbook/connected/")
    assert "service/web/connect/callback.py" in trace.files
    assert not any(file.startswith("service/simulator/") for file in trace.files)
    assert len(trace.files) <= 40
    assert len(trace.deepest) <= 13
