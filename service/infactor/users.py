"""Reads Infactor's accounts: who has which role, and how a buyer's address is spelled there.

Only the named fields are read: the records also hold passwords.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from service.errors import NotASupplier, Refusal
from service.infactor.mongo import InfactorDatabase, infactors_errors
from service.kit.text import one_line

BUYER = "Buyer"
SUPPLIER = "Supplier"
VERIFIED = "verified"

_LONGEST_EMAIL = 320
_LONGEST_NAME = 200
_LONGEST_ADDRESS = 500
_FIELDS = ("email", "firstName", "lastName", "address", "type", "accountStatus")
_CASE_DOES_NOT_COUNT = {"locale": "en", "strength": 2}


@dataclass(frozen=True, slots=True)
class Account:
    """One user of Infactor; `email` as spelled there, where case counts."""

    id: str
    email: str
    name: str
    address: str
    type: str
    verified: bool


class Users:
    """Infactor's accounts; every method raises InfactorAway."""

    def __init__(self, database: InfactorDatabase) -> None:
        self._users = database.users

    def supplier(self, email: str) -> Account | None:
        """Return the account with exactly this spelling of the address, whatever its type."""
        return self._first({"email": email}) if email.isprintable() else None

    def by_id(self, user_id: str) -> Account | None:
        return self._first({"_id": ObjectId(user_id)}) if ObjectId.is_valid(user_id) else None

    def registered_buyers(self, emails: Collection[str]) -> dict[str, str]:
        """Return {case-folded address: spelling in the verified buyer's account}.

        One query for all. Of accounts that differ only in case, one spelled as in `emails` counts,
        else the oldest.
        """
        asked = {email for email in emails if email.isprintable()}
        wanted = {email.casefold() for email in asked}
        spelling: dict[str, str] = {}
        for account in self._buyers(asked):
            key = account.email.casefold()
            # The collation ignores invisible characters, and so finds more than is equal.
            if key not in wanted or account.type != BUYER or not account.verified:
                continue
            if key not in spelling or (account.email in asked and spelling[key] not in asked):
                spelling[key] = account.email
        return spelling

    def _buyers(self, emails: Collection[str]) -> list[Account]:
        if not emails:
            return []
        query = {"email": {"$in": sorted(emails)}, "type": BUYER, "accountStatus": VERIFIED}
        with infactors_errors():
            found = self._users.find(
                query, _FIELDS, collation=_CASE_DOES_NOT_COUNT, sort=[("_id", 1)]
            )
            return [account for account in map(account_of, found) if account]

    def _first(self, query: Mapping[str, Any]) -> Account | None:
        """Return the oldest match, which Infactor's own log-in finds too."""
        with infactors_errors():
            found = self._users.find_one(query, _FIELDS, sort=[("_id", 1)])
        return account_of(found) if found else None


def account_of(document: Mapping[str, Any]) -> Account | None:
    """Return the account of a user record, or None if it has no usable e-mail address."""
    email, kind = document.get("email"), document.get("type")
    if not isinstance(email, str) or not _is_usable(email):
        return None
    return Account(
        id=str(document.get("_id")),
        email=email,
        name=_full_name(document),
        address=one_line(document.get("address"), _LONGEST_ADDRESS),
        type=kind if isinstance(kind, str) else "",
        verified=document.get("accountStatus") == VERIFIED,
    )


def verified_supplier(account: Account | None) -> Account:
    """Return the account if it is a verified supplier's; raises NotASupplier."""
    if account is None:
        raise NotASupplier(Refusal.UNKNOWN)
    if account.type != SUPPLIER:
        raise NotASupplier(Refusal.NOT_A_SUPPLIER)
    if not account.verified:
        raise NotASupplier(Refusal.NOT_VERIFIED)
    return account


def preferred(emails: Sequence[str], registered: Mapping[str, str]) -> tuple[str, bool]:
    """Return (the buyer's address to write, whether a registered buyer has it).

    It is the first of `emails` that is registered, in the account's spelling; otherwise the first
    as QuickBooks has it; "" if there is none. `registered` is the result of
    `Users.registered_buyers`.
    """
    for email in emails:
        if spelling := registered.get(email.casefold()):
            return spelling, True
    return (emails[0] if emails else ""), False


def _is_usable(email: str) -> bool:
    return (
        "@" in email and email.isprintable() and " " not in email and len(email) <= _LONGEST_EMAIL
    )


def _full_name(document: Mapping[str, Any]) -> str:
    """Return the name as Infactor's own pages compose it."""
    parts = (one_line(document.get(part), _LONGEST_NAME) for part in ("firstName", "lastName"))
    return one_line(" ".join(parts), _LONGEST_NAME) or "Anonymous"
