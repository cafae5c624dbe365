"""The people of Infactor, made of its user records, in which anything may stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import NotASupplier, Refusal
from service.kit.text import one_line

BUYER = "Buyer"
SUPPLIER = "Supplier"
VERIFIED = "verified"

_LONGEST_EMAIL = 320
_LONGEST_NAME = 200
_LONGEST_ADDRESS = 500


@dataclass(frozen=True, slots=True)
class Account:
    """One user of Infactor; `email` is spelled as there, where case counts."""

    id: str
    email: str
    name: str
    address: str
    type: str
    verified: bool


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
