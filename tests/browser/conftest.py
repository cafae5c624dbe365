"""A browser and a service as real processes, for the walks through the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import Reader, chromium
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import a_book


# For this folder and not for the session: while it is open, no other test can run an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's headless Chromium, or another."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """The service in one process, on SQLite, beside the simulator."""
    with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/pages.db") as made:
        yield made


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    """Somebody at an empty browser, to whom nothing may go wrong."""
    made = Reader.of(browser)
    yield made
    made.context.close()
    assert made.wrong == []


@pytest.fixture
def without_javascript(browser: Browser) -> Iterator[Reader]:
    """The same, with JavaScript switched off."""
    made = Reader.of(browser, javascript=False)
    yield made
    made.context.close()
    assert made.wrong == []
