"""Client of Infactor's MongoDB: its connections, its errors, the rights of its user.

Infactor's old drivers work with servers up to 5.0, so nothing here needs more than 4.2.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    _UNAUTHORIZED: "the user of INFACTOR_MONGODB_URL lacks a right there; see README for the role",
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
        told = database.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not told.get("authenticatedUsers"):
        return None
    privileges = told.get("authenticatedUserPrivileges", [])
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
