"""`rules`: the rules in force, and what others would change."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import (
    Limit,
    answer,
    answer_json,
    fail,
    hint,
    says_what_is_wrong,
    show_list,
    show_table,
)
from service.cli.context import Json, command_services, name_of
from service.cli.runs import progress_bars
from service.config.settings import Settings
from service.database.tables import Connection
from service.infactor.rules.book import RuleInForce, parse_changes, rule_book
from service.infactor.rules.rule import Profile
from service.services import Services
from service.store import connections, judging
from service.store.judging import NamedInvoice
from service.wording import called, money, several

if TYPE_CHECKING:
    from workers.judging import OtherReason


@says_what_is_wrong
def show_rules(
    what_if: Annotated[
        str | None,
        typer.Option(
            "--what-if",
            metavar="CODE=MODE[:LIMIT],…",
            help="Show what these changes of INFACTOR_RULES would do. Nothing is written.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Show what this INFACTOR_PROFILE would do: guide, standard or lender."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print every rule with its defaults, for a document.")
    ] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show the rules in force, and how many invoices each holds and signals now.

    With --what-if or --profile, judge every recorded invoice by other rules instead, and name each
    that they would hold, offer or signal. That writes nothing and reads nothing of QuickBooks.
    """
    if markdown:
        for line in catalogue_in_markdown():
            answer(line)
        return
    with command_services() as services:
        if what_if is None and profile is None:
            _show_in_force(services, as_json=as_json)
        else:
            other = _other(services.settings, what_if, profile)
            _show_what_if(services, other, limit, as_json=as_json)


def _other(settings: Settings, what_if: str | None, profile: str | None) -> Settings:
    """Return the settings with the rules that were asked for; exit with what to correct.

    Changes come on top of INFACTOR_RULES, and another profile keeps those.
    """
    changes = {change.code: change for change in settings.infactor_rules}
    try:
        given = parse_changes(what_if or "")
    except ValueError as e:
        raise fail(f"--what-if: {e}", 2) from None
    if what_if is not None and not given:
        raise fail("--what-if: name a rule, such as overdue=hold:30.", 2)
    if profile is not None and profile not in list(Profile):
        raise fail(f"--profile: must be one of {', '.join(Profile)}.", 2)
    changes |= {change.code: change for change in given}
    return settings.model_copy(
        update={
            "infactor_rules": tuple(changes.values()),
            "infactor_profile": profile or settings.infactor_profile,
        }
    )


def _show_in_force(services: Services, *, as_json: bool) -> None:
    held: Counter[str] = Counter()
    signalled: Counter[str] = Counter()
    with services.database.read() as session:
        environment = services.settings.quickbooks_environment
        for holds, signals in judging.kept_reasons(session, environment):
            held.update(one["code"] for one in holds)
            signalled.update(one["code"] for one in signals)
    rules = services.settings.rules.every
    if as_json:
        answer_json(
            {
                "code": one.rule.code,
                "mode": one.mode,
                "limit": one.limit if one.rule.limit else None,
                "unit": one.rule.limit.unit if one.rule.limit else None,
                "asks": asks(one),
                "supplier_is_told": one.rule.advice is not None,
                "holds": held[one.rule.code],
                "signals": signalled[one.rule.code],
            }
            for one in rules
        )
        return
    show_table(
        f"Rules of the profile {services.settings.infactor_profile}",
        ("Rule", "Mode", "Limit", "Asks", "Holds", "Signals"),
        (
            (
                *(one.rule.code, one.mode, limit_of(one), asks(one)),
                *(held[one.rule.code] or "", signalled[one.rule.code] or ""),
            )
            for one in rules
        ),
    )


def limit_of(one: RuleInForce) -> str:
    """Return the rule's limit with its unit; "" if it has none."""
    return f"{one.limit} {one.rule.limit.unit}" if one.rule.limit else ""


def asks(one: RuleInForce) -> str:
    """Return what the rule asks, with its limit."""
    return one.rule.asks.format(limit=limit_of(one))


def catalogue_in_markdown() -> Iterator[str]:
    """Yield the lines of the guide's table of rules."""
    columns = ("rule", "asks", "standard", "lender", "limit", "supplier", "after approval")
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for one in rule_book(Profile.STANDARD).every:
        rule = one.rule
        cells = (
            f"`{rule.code}`",
            asks(one),
            *(rule.default(Profile.STANDARD), rule.default(Profile.LENDER)),
            limit_of(one) or "-",
            "review" if rule.advice is None else rule.words,
            rule.after_approval or "-",
        )
        yield f"| {' | '.join(cells)} |"


class _Changes:
    """What other rules would change: how many invoices, and how much is due on them."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._by_rule: Counter[str] = Counter()
        self._moved: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._due: dict[bool, dict[str, Decimal]] = {True: {}, False: {}}

    def add(self, others: "Sequence[OtherReason]", named: Mapping[str, NamedInvoice]) -> None:
        """Add the changes of a page; an invoice that changes sides counts once."""
        self._by_rule.update(f"{one.code}: {one.before} to {one.after}" for one in others)
        moved = {one.invoice_id: one for one in others if one.held != one.would_be_held}
        for id_, one in moved.items():
            due, name = self._due[one.would_be_held], named[id_].currency or self._currency
            self._moved[one.would_be_held]["invoices"] += 1
            due[name] = due.get(name, Decimal(0)) + (named[id_].balance or 0)

    def lines(self) -> Iterator[str]:
        """Yield the sums in words."""
        for change, count in self._by_rule.items():
            yield f"{change}: {several(count, 'invoice', 'invoices')}."
        for side, words in ((True, "Held instead of offered"), (False, "Offered instead of held")):
            count = self._moved[side]["invoices"]
            due = ", ".join(money(sum_, name) for name, sum_ in sorted(self._due[side].items()))
            yield f"{words}: {several(count, 'invoice', 'invoices')}{due and f', {due} due'}."
        yield "Nothing was written."


def _show_what_if(services: Services, other: Settings, limit: int | None, *, as_json: bool) -> None:
    changes = _Changes(other.infactor_currency)
    found = _what_if(services, other, changes)
    if as_json:
        answer_json(found)
    else:
        columns = ("Company", "Invoice", "Buyer", "Balance due", "Rule", "From", "To")
        show_list("What would change", columns, [_line(one) for one in found], limit)
    for line in changes.lines():
        hint(line)


def _what_if(services: Services, other: Settings, changes: _Changes) -> Iterator[dict[str, Any]]:
    """Yield each invoice and rule that the other rules judge otherwise, and add them up."""
    from workers.judging import what_if

    with services.database.read() as session:
        environment = other.quickbooks_environment
        everyone = [one for one, _ in connections.everyone(session, environment)]
        total = judging.count(session, environment)
    with progress_bars() as progress:
        bar = progress.add_task("Judging", total=total, note="")
        for company in everyone:
            for judged, others in what_if(services, company.id, other):
                with services.database.read() as session:
                    named = judging.named(session, {one.invoice_id for one in others})
                changes.add(others, named)
                progress.advance(bar, judged)
                for one in others:
                    yield _row(company, named[one.invoice_id], one, other.infactor_currency)


def _row(
    company: Connection, invoice: NamedInvoice, one: "OtherReason", currency: str
) -> dict[str, Any]:
    return {
        "connection": company.id,
        "company": name_of(company),
        "invoice": invoice.id,
        "quickbooks_id": invoice.quickbooks_id,
        "number": invoice.number,
        "buyer": invoice.buyer,
        "balance": invoice.balance,
        "currency": invoice.currency or currency,
        "rule": one.code,
        "from": one.before,
        "to": one.after,
        "held": one.held,
        "would_be_held": one.would_be_held,
    }


def _line(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        *(row["company"], called(row["quickbooks_id"], row["number"]), row["buyer"]),
        money(row["balance"], row["currency"]),
        *(row["rule"], row["from"], row["to"]),
    )
