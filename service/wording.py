"""Words for people, the same on pages, in commands and in alerts."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from service.database.tables import DifferenceRow, Finding, Invoice, Notice, Tally
from service.domain import DifferenceKind, FindingKind, NoticeStatus, OwnNotice, State
from service.infactor.quickbooks_records import MOST_MONEY, calendar_date
from service.infactor.wording import AMOUNTS, DATES, WORDS, finding_words, status

_LONG_AGO = 30 * 86_400  # seconds
_LONGEST_SHORTENED = 300  # characters
_LONGEST_GIST = 600
_CURRENCY = re.compile(r"^[A-Za-z]{3} | [A-Za-z]{3}$")
_MONEY = str.maketrans("", "", ",$\N{EURO SIGN}\N{POUND SIGN} ")
_ADDRESS = re.compile(r"[^\s@(,;]+@[\w-]+(?:\.[\w-]+)*")

_OWN = {
    OwnNotice.SYNC: "What changed, asked for by an operator",
    OwnNotice.RESUMED: "What changed while it was paused",
    OwnNotice.RENEWED: "What changed until it was connected again",
    OwnNotice.CHECK: "Whether QuickBooks still lets us in",
    OwnNotice.UNRECORDED: "Invoice {}, which could not be recorded",
    OwnNotice.ORPHANED: "Invoice {}, in Infactor but not recorded here",
    OwnNotice.UNREADABLE: "What QuickBooks cannot show",
}
_TO_BE_SAVED = (
    "Ask the supplier to open and save it in QuickBooks, then retry this. Or contact Intuit's"
    " support with this intuit_tid."
)

ADVICE = (
    "Ask the supplier to open and save this invoice in QuickBooks, or contact Intuit's support"
    " with the intuit_tid of the failed event"
)
_MOST_NAMED = 10


def money(amount: Decimal | int | None, currency: str | None = None) -> str:
    """Return an amount as `1,234.50 USD`; up to seven decimals, as QuickBooks' prices have."""
    if amount is None:
        return "-"
    try:
        text = f"{plain(amount):,f}".replace("-", "\N{MINUS SIGN}")
    except InvalidOperation:
        text = str(amount)  # not from an invoice: edited in Infactor
    return f"{text} {currency}" if currency else text


def plain(amount: Decimal | int) -> Decimal:
    """Return an amount with two to seven decimals; raises InvalidOperation for too many digits."""
    whole, _, decimals = f"{round(Decimal(amount), 7):f}".partition(".")
    return Decimal(f"{whole}.{decimals.rstrip('0').ljust(2, '0')}")


def amount_in(words: str) -> Decimal | None:
    """Return the amount that these words are as people or pages write it, if they are one."""
    plain = _CURRENCY.sub("", words).translate(_MONEY).replace("\N{MINUS SIGN}", "-")
    if not plain.isascii():
        return None
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        return None
    known = amount.is_finite() and -7 < amount.adjusted() < 13 and abs(amount) < MOST_MONEY
    return amount if known else None


def day(text: str) -> str:
    """Return a date of QuickBooks' as `30 Nov 2026`; other text stays as it is, and "" is `-`."""
    found = calendar_date(text)
    if found is None:
        return text or "-"
    return f"{found.day} {found:%b %Y}"


def utc_day(at: datetime) -> str:
    """Return the day in UTC, as `2026-11-30`."""
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def format_utc(at: datetime) -> str:
    """Return an instant as `2026-11-30 00:05 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(seconds: float) -> str:
    """Return a length of time in one unit: `45 s`, `12 min`, `5 h`, `3 days`."""
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def exact_span(seconds: float) -> str:
    """Return a length of time in words, with tenths below ten seconds."""
    return f"{seconds:.1f} s" if 0 < seconds < 10 else span(seconds)


def ago(when: datetime, at: datetime) -> str:
    """Return how long ago that was: `just now`, `5 minutes ago`, and after 30 days the day."""
    seconds = (at - when).total_seconds()
    if seconds >= _LONG_AGO:
        utc = when.astimezone(UTC)
        return f"{utc.day} {utc:%b %Y}"
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return f"{several(int(seconds // unit), name, f'{name}s')} ago"
    return "just now"


def shortened(text: str, longest: int = _LONGEST_SHORTENED) -> str:
    """Return a text on one line, cut after a word at so many characters."""
    return textwrap.shorten(text, longest, placeholder=" …")


def several(count: int, one: str, many: str) -> str:
    """Return `1 company`, `2 companies`."""
    return f"{count:,} {one if count == 1 else many}"


def written(field: str, value: Any, currency: str | None = None) -> str:
    """Return a field's value for people; a value that is not of the field's type stays as it is."""
    if value in ("", None):
        return "-"
    text = str(value)
    if field in AMOUNTS:
        try:
            return money(Decimal(text), currency)
        except InvalidOperation:
            return text
    if field in DATES:
        return day(text)
    if field in WORDS:
        return status(text) if text in list(State) else text.replace("_", " ")
    return text


@dataclass(frozen=True, slots=True)
class FindingLine:
    """One field of a finding in words; `tells`: what was approved and what is now say something."""

    what: str
    approved: str
    current: str
    severity: str
    tells: bool


def of_finding(
    finding: Finding, invoice: Invoice, approved_currency: str | None, currency: str
) -> list[FindingLine]:
    """Return a finding's fields in words; amounts that name no currency are in `currency`."""
    before = approved_currency or currency
    # What was found in Infactor's document alone is in the document's currency.
    now = (invoice.currency or currency) if finding.kind == FindingKind.CHANGED else before
    return [
        FindingLine(
            what=finding_words(one["field"], finding.kind),
            approved=written(one["field"], one["approved"], before),
            current=written(one["field"], one["current"], now),
            severity=one["severity"],
            tells=finding.kind != FindingKind.MISSING,
        )
        for one in finding.fields
    ]


def gist_of_finding(
    finding: Finding, invoice: Invoice, approved_currency: str | None, currency: str
) -> str:
    """Return a finding in a few sentences for an alert, with the buyer's name and no address."""
    name = invoice.doc_number or f"Id {invoice.quickbooks_id}"
    buyer = str((invoice.mapped or {}).get("companyName") or "")
    lines = of_finding(finding, invoice, approved_currency, currency)
    told = [_line(one) for one in lines if one.severity == finding.severity]
    others = len(lines) - len(told)
    more = f" {several(others, 'other field', 'other fields')} changed too." if others else ""
    text = (
        f"Invoice {name}{f' ({buyer})' if buyer else ''}: {'; '.join(told[:_MOST_NAMED])}.{more}"
        f" In Infactor: {status(finding.state)}."
    )
    return shortened(_ADDRESS.sub("(address)", text), _LONGEST_GIST)


def _line(one: FindingLine) -> str:
    if not one.tells or (one.approved, one.current) == ("-", "-"):
        return one.what
    if one.approved == "-":
        return f"{one.what}: {one.current.rstrip('.')}"
    return f"{one.what}: approved {one.approved}, now {one.current}"


def what(notice: Notice, called: str | None = None) -> str:
    """Return what the notice is about; `called` is the invoice's number, where it is known."""
    about = called or notice.entity_id
    if notice.format == "own" and notice.operation in list(OwnNotice):
        return _OWN[OwnNotice(notice.operation)].format(about)
    parts = (notice.entity, about, notice.operation)
    return " ".join(part for part in parts if part) or "Could not be read"


def why(notice: Notice) -> str | None:
    """Return how the notice ended, or why it has not; None where nothing is known."""
    if notice.status == NoticeStatus.DONE or not notice.error_message:
        return notice.reason
    if (
        notice.status == NoticeStatus.FAILED
        and notice.format == "own"
        and notice.operation == OwnNotice.UNREADABLE
    ):
        return f"{notice.reason}: {notice.error_message}. {_TO_BE_SAVED}"
    return notice.error_message


def called(quickbooks_id: str, number: str) -> str:
    """Return an invoice's number with its QuickBooks Id."""
    return f"{number} (Id {quickbooks_id})" if number else f"Id {quickbooks_id}"


def by_name(tally: Tally) -> str | None:
    """Return the differences that a run left, with the first names of each kind; None if none."""
    return "; ".join(_texts(tally, names=True)) or None


def gist(tally: Tally) -> str | None:
    """Return the same without naming an invoice, so that it may be sent; None if none."""
    return "; ".join(_texts(tally, names=False)) or None


def advice(tally: Tally) -> str | None:
    """Return what people can do about invoices that QuickBooks cannot show; None if nothing."""
    return ADVICE if _unreadable(tally) else None


def is_beyond_fixing(tally: Tally) -> bool:
    """Return whether all that a run left are invoices that QuickBooks cannot show."""
    return bool(_unreadable(tally)) and not _differing(tally) and not tally.get("infactor")


def _texts(tally: Tally, *, names: bool) -> Iterator[str]:
    infactor = tally.get("infactor", [])
    differing, documents = _differing(tally), [one for one in infactor if one["id"]]
    if unreadable := _unreadable(tally):
        text = f"QuickBooks cannot show {several(len(unreadable), 'invoice', 'invoices')}"
        yield text + (_named([_name(one) for one in unreadable]) if names else "")
    if differing:
        text = several(len(differing), "invoice differs", "invoices differ") + " from QuickBooks"
        yield text + (_named([_with_kind(one) for one in differing]) if names else "")
    if documents:
        text = several(len(documents), "document differs", "documents differ") + " in Infactor"
        yield text + (_named([_with_kind(one) for one in documents]) if names else "")
    for one in infactor:
        if not one["id"]:
            yield f"Infactor's documents could not be compared: {one['there']}"


def _unreadable(tally: Tally) -> list[DifferenceRow]:
    return [one for one in tally.get("differences", []) if one["kind"] == DifferenceKind.UNREADABLE]


def _differing(tally: Tally) -> list[DifferenceRow]:
    return [one for one in tally.get("differences", []) if one["kind"] != DifferenceKind.UNREADABLE]


def _named(names: list[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMED else ""
    return f": {', '.join(names[:_MOST_NAMED])}{more}"


def _name(one: DifferenceRow) -> str:
    """Return an invoice's name, or its place where nothing else is known of it."""
    return called(one["id"], one["number"]) if one["id"].isdigit() else one["id"]


def _with_kind(one: DifferenceRow) -> str:
    if one["number"]:
        return f"{one['number']} (Id {one['id']}, {one['kind']})"
    return f"Id {one['id']} ({one['kind']})"
