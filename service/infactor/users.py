"""Looks people up in Infactor's own user records.

Only the named fields are ever asked for: beside them the records hold passwords.
"""

from collections.abc import Collection, Mapping
from typing import Any

from bson import ObjectId
from bson.codec_options import DatetimeConversion
from pymongo.collection import Collection as Records

from service.infactor.accounts import BUYER, VERIFIED, Account, account_of
from service.infactor.mongo import InfactorDatabase, infactors_errors

_FIELDS = ("email", "firstName", "lastName", "address", "type", "accountStatus")
_CASE_DOES_NOT_COUNT = {"locale": "en", "strength": 2}


class Users:
    """The accounts of Infactor; every look-up raises InfactorAway when nobody answers."""

    def __init__(self, database: InfactorDatabase) -> None:
        self._users = tolerant(database.users)

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


def tolerant(records: Records[dict[str, Any]]) -> Records[dict[str, Any]]:
    """Return the collection with every record readable, whatever text or date is in it."""
    options = records.codec_options.with_options(
        unicode_decode_error_handler="replace",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    )
    return records.with_options(codec_options=options)
