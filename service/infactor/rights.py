"""What the user of INFACTOR_MONGODB_URL may do, and whether the database is an Infactor's.

Everything here only reads.
"""

from collections.abc import Mapping
from typing import Any

import pymongo

from service.infactor.mongo import InfactorDatabase, infactors_errors

NEEDED: Mapping[str, frozenset[str]] = {
    "invoices": frozenset({"find", "insert", "update"}),
    "users": frozenset({"find"}),
    "sessions": frozenset({"find"}),
}
_SECONDS = 8.0
_TYPES = ["Supplier", "Buyer", "Financer"]


def missing_rights(infactor: InfactorDatabase) -> list[str] | None:
    """Return what the user lacks, as "insert on invoices"; raises InfactorAway.

    None when the server cannot tell, because nobody is logged in: without access control.
    """
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


def check_reading(infactor: InfactorDatabase) -> None:
    """Return only if the collections that are read can be read; else raises InfactorAway."""
    with infactors_errors(), pymongo.timeout(_SECONDS):
        for collection in (infactor.invoices, infactor.users, infactor.sessions):
            collection.find_one({}, {"_id": 1})


def looks_like_infactors(infactor: InfactorDatabase) -> bool:
    """Return whether somebody has an account in Infactor there; raises InfactorAway."""
    with infactors_errors(), pymongo.timeout(_SECONDS):
        account = {"type": {"$in": _TYPES}, "email": {"$type": "string"}}
        return infactor.users.find_one(account, {"_id": 1}) is not None


def _allowed(privileges: list[Mapping[str, Any]], database: str, collection: str) -> set[str]:
    """Return the actions on this collection; an empty name in a privilege stands for any."""
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
