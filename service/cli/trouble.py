"""Trouble with the database in one line, which names the setting and repeats nothing secret."""

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

# A password with an @ in it ends up in what drivers take for the host.
_ADDRESS = re.compile(r"[^\s'\"]*@[^\s'\"]*")
_LONGEST = 200
# Insufficient privilege, no such table, no such schema: an operator mends these, not we.
_OPERATORS_STATES = frozenset({"42501", "42P01", "3F000"})


def is_ours(error: DBAPIError) -> bool:
    """Tell whether the error is a mistake of this program rather than trouble with a database."""
    if isinstance(error, ProgrammingError) and error.statement is not None:
        return getattr(error.orig, "sqlstate", None) not in _OPERATORS_STATES
    return isinstance(error, DataError | IntegrityError)


def database_trouble(error: DBAPIError) -> str:
    """Return what to tell an operator about this error."""
    cause = _short(str(error.orig))
    if error.statement is not None:
        return f"DATABASE_URL: the database failed: {cause}; nothing is half done, try again"
    if type(error.orig).__module__.startswith("sqlite3"):
        advice = "check the path, and that its folder exists and can be written to"
    else:
        advice = "check that the database runs, and that its address, user and password are right"
    return f"DATABASE_URL: cannot be opened: {cause}; {advice}"


def _short(text: str) -> str:
    first = next(iter(text.strip().splitlines()), "").removeprefix("connection failed: ")
    return _ADDRESS.sub("…", first)[:_LONGEST].rstrip(" .:;") or "for a reason it does not say"
