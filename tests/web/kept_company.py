"""A company that was imported a moment ago, for the next test that needs the same one.

To import it anew took two thirds of a test's time. Nothing but its age tells the one from the
other, and that is less than a test has to bear on a slow machine.
"""

import json
import sqlite3
import time
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from service.simulator.grants import Grants
from service.simulator.state import Consent, Simulator

_FRESH_SECONDS = 20.0
# What a process says of itself, which is over.
_OF_A_PROCESS = ("heartbeats", "processes", "leases")


class KeptCompany:
    """The rows of the company that was imported last, and what QuickBooks knows of it."""

    def __init__(self) -> None:
        self._made_of = ""
        self._until = 0.0
        self._rows = b""
        self._grants = Grants()
        self._consent = Consent()
        self._connection_id = ""

    def put_into(
        self, database_url: str, simulator: Simulator, book: Any, settings: Any
    ) -> str | None:
        """Write it where nobody works yet, if it is one of this book and these settings.

        Return its connection's id, or None if it has to be imported.
        """
        if time.monotonic() > self._until or not database_url.startswith("sqlite:"):
            return None
        if self._made_of != _made_of(book, settings):
            return None
        _file(database_url).write_bytes(self._rows)
        simulator.grants = deepcopy(self._grants)
        simulator.consent = deepcopy(self._consent)
        return self._connection_id

    def keep(
        self, connection_id: str, database_url: str, simulator: Simulator, book: Any, settings: Any
    ) -> None:
        """Keep a company that has just been imported there, in place of the one before."""
        self._made_of = _made_of(book, settings)
        self._until = time.monotonic() + _FRESH_SECONDS
        self._rows = _rows(_file(database_url))
        self._grants = deepcopy(simulator.grants)
        self._consent = deepcopy(simulator.consent)
        self._connection_id = connection_id


def _made_of(book: Any, settings: Any) -> str:
    return json.dumps([book, settings], sort_keys=True, default=repr)


def _file(database_url: str) -> Path:
    return Path(make_url(database_url).database or "")


def _rows(file: Path) -> bytes:
    with (
        closing(sqlite3.connect(file)) as theirs,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as ours,
    ):
        theirs.backup(ours)
        for table in _OF_A_PROCESS:
            ours.execute(f"DELETE FROM {table}")
        return bytes(ours.serialize())
