"""Which invoices may be for the same sale, by what they share.

A key is a digest of things that two invoices can have in common. Equal keys are found by an index,
however many invoices there are.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from service.infactor.rules.facts import InvoiceFacts

_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SIGNS = re.compile(r"[\W_]+")
_DELETED = re.compile(r"\(deleted[\s\d-]*\)", re.IGNORECASE)
# What a company is, not what it is called; without punctuation.
_LEGAL_FORMS = frozenset(
    {
        *("ab", "ag", "as", "bv", "co", "company", "corp", "corporation", "gmbh", "inc"),
        *("incorporated", "kg", "limited", "llc", "llp", "lp", "ltd", "nv", "oy", "plc", "pllc"),
        *("pte", "pty", "sa", "sarl", "sas", "spa", "srl"),
    }
)


class TwinKeys(NamedTuple):
    """What an invoice may share with another; None for what it lacks."""

    number: int | None = None
    """Its number and amount."""
    buyer: int | None = None
    """Its number and the buyer's name."""
    name: int | None = None
    """The buyer's name, the amount and the date."""
    email: int | None = None
    """The buyer's first e-mail address, the amount and the date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Another invoice that shares a key with the one that is judged."""

    id: str
    facts: InvoiceFacts
    same_supplier: bool
    state: str | None = None
    """Of its document in Infactor; None if there is none."""


def twin_keys(facts: InvoiceFacts) -> TwinKeys:
    """Return the keys of the invoice; of one that was voided or deleted, what it had before.

    Equal numbers differ at most in case, punctuation, spaces and leading zeros; equal names in
    those and in the legal form, and a project or sub-customer has the name of its parent.
    """
    total = facts.total if facts.total > 0 else facts.total_before_void
    if total is None:
        return TwinKeys()
    email = facts.emails[0] if facts.emails else ""
    return _keys(facts.number, facts.buyer, email, total, facts.currency, facts.txn_date)


# Asked twice of each invoice that is recorded: for its row, and when it is judged.
@lru_cache(maxsize=4096)
def _keys(
    number: str, buyer: str, email: str, total: Decimal, currency: str | None, dated: date | None
) -> TwinKeys:
    number, name, email = normal_number(number), normal_name(buyer), email.casefold()
    amount = f"{total.normalize():f} {currency or ''}"
    return TwinKeys(
        _key(f"number\0{number}\0{amount}") if number else None,
        _key(f"buyer\0{number}\0{name}") if number and name else None,
        _key(f"name\0{name}\0{amount}\0{dated}") if name and dated else None,
        _key(f"email\0{email}\0{amount}\0{dated}") if email and dated else None,
    )


def shared(mine: InvoiceFacts, other: Twin, days: int) -> str | None:
    """Return what makes both invoices one sale, in words; None if they are two.

    Of one supplier: the same number with the same amount or buyer, dated at most `days` apart; or
    the same buyer, amount and date. Two suppliers may well use one number, and even for one buyer:
    there it takes number, amount, and the buyer or the date; or buyer, amount and date.
    """
    own, twin, theirs = twin_keys(mine), twin_keys(other.facts), other.facts
    near = _near(mine, theirs, days)
    same_amount = near and _same(own.number, twin.number)
    same_buyer = near and _same(own.buyer, twin.buyer)
    same_day = mine.txn_date is not None and mine.txn_date == theirs.txn_date
    cases = {
        "buyer, amount and date": _same(own.name, twin.name) or _same(own.email, twin.email),
        "number, buyer and amount": same_amount and (same_buyer or _same_address(mine, theirs)),
        "number, amount and date": same_amount and same_day,
        "number and amount": same_amount and other.same_supplier,
        "number and buyer": same_buyer and other.same_supplier,
    }
    return next((what for what, applies in cases.items() if applies), None)


def _same(one: int | None, other: int | None) -> bool:
    return one is not None and one == other


def _near(one: InvoiceFacts, other: InvoiceFacts, days: int) -> bool:
    mine, theirs = one.txn_date or one.created, other.txn_date or other.created
    return mine is None or theirs is None or abs(mine - theirs) <= timedelta(days=days)


def _same_address(one: InvoiceFacts, other: InvoiceFacts) -> bool:
    mine = {email.casefold() for email in one.emails}
    return any(email.casefold() in mine for email in other.emails)


def _key(text: str) -> int:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def normal_number(number: str) -> str:
    """Return the number as people compare it: INV-0010, inv 10 and Inv10 are one."""
    text = number if number.isascii() else unicodedata.normalize("NFKC", number)
    return _SIGNS.sub("", _LEADING_ZEROS.sub("", text.casefold()))


@lru_cache(maxsize=4096)
def normal_name(name: str) -> str:
    """Return the name of the buyer at the top, without legal forms: Acme, Inc.:Dock 5 is acme."""
    top = _DELETED.sub("", name.split(":", maxsplit=1)[0])
    text = unicodedata.normalize("NFKC", top).casefold().replace(".", "")
    return "".join(_distinctive("".join(c if c.isalnum() else " " for c in text).split()))


def _distinctive(words: Sequence[str]) -> Sequence[str]:
    """Return the words without the legal forms at the end, unless nothing would be left."""
    end = len(words)
    while end > 1 and words[end - 1] in _LEGAL_FORMS:
        end -= 1
    return words[:end]
