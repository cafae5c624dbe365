"""Infactor's MongoDB: the client, what its errors mean, and values in the types that it stores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pymongo
from bson.codec_options import DatetimeConversion
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from service import errors
from service.errors import InfactorAway

Record = Mapping[str, Any]

# The address may set any of these itself.
_PATIENCE_MS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
}
_WRITTEN_MS = 10_000

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
_REFUSALS = {
    _UNAUTHORIZED: "the user of INFACTOR_MONGODB_URL lacks a right there;"
    " `infactor-quickbooks guide infactor` has the role",
    _AUTHENTICATION_FAILED: "the user or password of INFACTOR_MONGODB_URL is not accepted",
}

NEEDED: Mapping[str, frozenset[str]] = {
    "invoices": frozenset({"find", "insert", "update"}),
    "users": frozenset({"find"}),
    "sessions": frozenset({"find"}),
}
_SECONDS = 8.0
_TYPES = ["Supplier", "Buyer", "Financer"]


class InfactorDatabase:
    """Infactor's collections; connects at the first call, and reconnects by itself.

    A write counts once a majority of the members has it on disk: what only a lost primary had would
    be gone. Raises ConfigurationError if the address cannot be parsed.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                url, appname="infactor-quickbooks", tz_aware=True, connect=False, **_patience(url)
            )
        except (PyMongoError, ValueError):
            # Without the cause: it may repeat the address, which may hold a password.
            raise errors.ConfigurationError(
                "INFACTOR_MONGODB_URL: cannot be read as an address of MongoDB; write special"
                " characters in a user or password as %XX"
            ) from None
        self._database: Database[dict[str, Any]] = self._client[name]

    @property
    def invoices(self) -> Collection[dict[str, Any]]:
        """Infactor's invoices, with durable writes."""
        durable = WriteConcern(w="majority", j=True, wtimeout=_WRITTEN_MS)
        return self._database["invoices"].with_options(write_concern=durable)

    @property
    def users(self) -> Collection[dict[str, Any]]:
        """Accounts of suppliers, buyers and financiers; only read."""
        return _tolerant(self._database["users"])

    @property
    def sessions(self) -> Collection[dict[str, Any]]:
        """Sessions of Infactor's own log-in; only read."""
        return _tolerant(self._database["sessions"])

    def version(self) -> str:
        """Return the server's version; raises InfactorAway."""
        with infactors_errors():
            return str(self._client.server_info()["version"])

    def close(self) -> None:
        self._client.close()


def _tolerant(records: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """Return the collection so that invalid text or dates do not raise."""
    options = records.codec_options.with_options(
        unicode_decode_error_handler="replace",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    )
    return records.with_options(codec_options=options)


def _patience(url: str) -> dict[str, Any]:
    said = url.lower()
    return {name: ms for name, ms in _PATIENCE_MS.items() if f"{name.lower()}=" not in said}


@contextmanager
def infactors_errors(but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn the client's errors, but those in `but`, into InfactorAway; it quotes nothing sent."""
    try:
        yield
    except but:
        raise
    except ServerSelectionTimeoutError:
        raise InfactorAway("no MongoDB that takes writes answers at INFACTOR_MONGODB_URL") from None
    except ConfigurationError:
        raise InfactorAway(
            "the MongoDB at INFACTOR_MONGODB_URL is older than 4.2, or newer than this client"
        ) from None
    except AutoReconnect as e:
        raise InfactorAway(f"the connection to Infactor's MongoDB broke ({_name(e)})") from None
    except PyMongoError as e:
        code = e.code if isinstance(e, OperationFailure) else None
        known = _REFUSALS.get(code or 0)
        raise InfactorAway(
            known or f"Infactor's MongoDB answered with an error ({_name(e)})"
        ) from None


def _name(error: PyMongoError) -> str:
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"


def check_reading(infactor: InfactorDatabase) -> None:
    """Raise InfactorAway unless all three collections can be read."""
    with infactors_errors(), pymongo.timeout(_SECONDS):
        for collection in (infactor.invoices, infactor.users, infactor.sessions):
            collection.find_one({}, {"_id": 1})


def looks_like_infactors(infactor: InfactorDatabase) -> bool:
    """Return whether there is any account of Infactor's; raises InfactorAway."""
    with infactors_errors(), pymongo.timeout(_SECONDS):
        account = {"type": {"$in": _TYPES}, "email": {"$type": "string"}}
        return infactor.users.find_one(account, {"_id": 1}) is not None


def missing_rights(infactor: InfactorDatabase) -> list[str] | None:
    """Return our user's missing rights, as "insert on invoices"; None without access control."""
    database = infactor.invoices.database
    with infactors_errors(), pymongo.timeout(_SECONDS):
        answer = database.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not answer.get("authenticatedUsers"):
        return None
    privileges = answer.get("authenticatedUserPrivileges", [])
    return [
        f"{action} on {collection}"
        for collection, needed in NEEDED.items()
        for action in sorted(needed - _allowed(privileges, database.name, collection))
    ]


def _allowed(privileges: list[Mapping[str, Any]], database: str, collection: str) -> set[str]:
    """Return the allowed actions on this collection; an empty name in a privilege means any."""
    return {
        action
        for privilege in privileges
        for action in privilege["actions"]
        if privilege["resource"].get("anyResource")
        or (
            privilege["resource"].get("db") in (database, "")
            and privilege["resource"].get("collection") in (collection, "")
        )
    }


MOST_BYTES = 15_000_000
"""Limit of our document; the rest of MongoDB's 16 MB is for what Infactor adds."""

_HEADER = 5  # of a document: its length, and the zero at its end
_FIELD = 2  # the type before a name, and the zero behind it
_NUMBER = 8

_AS_THEY_ARE = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, Decimal})


def to_bson(value: Any) -> Any:
    """Return exact JSON in stored types: numbers as doubles, names that MongoDB 4.2 allows.

    A leading `$` and dots in names become full-width characters.
    """
    kind = type(value)
    if kind is dict:
        return {
            name if name.isidentifier() else _allowed_name(name): (
                inner if type(inner) in _AS_THEY_ARE else to_bson(inner)
            )
            for name, inner in value.items()
        }
    if kind is list:
        return [to_bson(inner) for inner in value]
    if kind in _NUMBERS:
        return float(value)
    if kind in _AS_THEY_ARE:
        return value
    raise TypeError(f"{kind.__name__} is not exact JSON")


def from_bson(value: Any) -> Any:
    """Return a stored value as exact JSON; other types, such as an ObjectId, as their text.

    A double becomes the shortest decimal that gives it, or a whole number.
    """
    match value:
        case bool() | None | str() | int():
            return value
        case float():
            return _number(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): from_bson(inner) for name, inner in value.items()}
        case list():
            return [from_bson(inner) for inner in value]
    return str(value)


def _number(value: float) -> int | Decimal | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else Decimal(repr(value))


def _allowed_name(name: str) -> str:
    if "." in name:
        name = name.replace(".", "\N{FULLWIDTH FULL STOP}")
    return f"\N{FULLWIDTH DOLLAR SIGN}{name[1:]}" if name.startswith("$") else name


def size(value: Any) -> int:
    """Return the size in bytes of exact JSON as BSON, with every number a double (bsonspec.org)."""
    match value:
        case None:
            return 0
        case bool():
            return 1
        case str():
            return _HEADER + len(value.encode())
        case int() | Decimal():
            return _NUMBER
        case Mapping():
            fields = (_FIELD + len(name.encode()) + size(inner) for name, inner in value.items())
            return _HEADER + sum(fields)
        case _:
            inner = (_FIELD + len(str(at)) + size(item) for at, item in enumerate(value))
            return _HEADER + sum(inner)


def shortened(items: Sequence[Any], room: int) -> list[Any]:
    """Return as many of the first items as fit, as an array, into `room` bytes."""
    left = room - _HEADER
    for at, item in enumerate(items):
        left -= _FIELD + len(str(at)) + size(item)
        if left < 0:
            return list(items[:at])
    return list(items)
