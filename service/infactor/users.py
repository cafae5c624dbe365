"""The people of Infactor: its user records, in which anything may stand, and who may do what.

Only the named fields are ever asked for: beside them the records hold passwords.
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
    """One user of Infactor; `email` is spelled as there, where case counts."""

    id: str
    email: str
    name: str
    address: str
    type: str
    verified: bool


class Users:
    """The accounts of Infactor; every look-up raises InfactorAway when nobody answers."""

    def __init__(self, database: InfactorDatabase) -> None:
        self._users = database.users

    def supplier(self, email: str) -> Account | None:
        """Return the account with exactly this spelling of the address, whatever its type."""
        return self._first({"email": email}) if email.isprintable() else None

    def by_id(self, user_id: str) -> Account | None:
        """Return the account with this id."""
        return self._first({"_id": ObjectId(user_id)}) if ObjectId.is_valid(user_id) else None

    def registered_buyers(self, emails: Collection[str]) -> dict[str, str]:
        """Return by case-folded address how the account of the verified buyer spells it.

        One query, however many addresses. Of accounts that differ in case alone, one that is
        spelled as in `emails` counts, else the oldest.
        """
        asked = {email for email in emails if email.isprintable()}
        wanted = {email.casefold() for email in asked}
        spelling: dict[str, str] = {}
        for account in self._buyers(asked):
            key = account.email.casefold()
            # The database takes for equal what looks equal, and overlooks invisible characters.
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
        """Return the oldest such account, the one that Infactor's own log-in finds."""
        with infactors_errors():
            found = self._users.find_one(query, _FIELDS, sort=[("_id", 1)])
        return account_of(found) if found else None


def account_of(document: Mapping[str, Any]) -> Account | None:
    """Return whom a user record describes, or None when it has no e-mail address of any use."""
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
    """Return (the address to write for a buyer, whether a registered buyer has it).

    That is the first of `emails` that is registered, in the account's spelling; if none is, the
    first as QuickBooks has it; "" without any. `registered` is what `Users.registered_buyers`
    found.
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
    """Return the name as Infactor's own pages put it together."""
    parts = (one_line(document.get(part), _LONGEST_NAME) for part in ("firstName", "lastName"))
    return one_line(" ".join(parts), _LONGEST_NAME) or "Anonymous"
