"""`rules`: the rules in force, and what others would change."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from service.cli.console import (
    Limit,
    answer,
    answer_json,
    fail,
    hint,
    says_what_is_wrong,
    show_table,
)
from service.cli.context import Json, command_services
from service.cli.runs import progress_bars
from service.cli.what_if import WhatIf, show_changes
from service.config.settings import Settings
from service.infactor.rules.book import RuleInForce, parse_changes, rule_book
from service.infactor.rules.rule import Profile
from service.services import Services
from service.store import connections, judging_queue


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
        if what_if is not None or profile is not None or limit is not None or as_json:
            raise fail("--markdown prints the catalogue, and goes with no other option.")
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

    The changes come on top of INFACTOR_RULES, and another profile keeps those.
    """
    changes = {change.code: change for change in settings.infactor_rules}
    try:
        given = parse_changes(what_if or "")
    except ValueError as e:
        raise fail(f"--what-if: {e}") from None
    if what_if is not None and not given:
        raise fail("--what-if: name a rule, such as overdue=hold:30.")
    if profile is not None and profile not in list(Profile):
        raise fail(f"--profile: must be one of {', '.join(Profile)}.")
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
        for holds, signals in judging_queue.kept_reasons(session, environment):
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
    hint(f"These are the rules of the profile {services.settings.infactor_profile}.")
    show_table(
        "Rules",
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


def _show_what_if(services: Services, other: Settings, limit: int | None, *, as_json: bool) -> None:
    changes = WhatIf(other.infactor_currency, limit, as_json=as_json)
    _what_if(services, other, changes)
    if not as_json:
        show_changes(changes.found, limit)
    for line in changes.lines():
        hint(line)


def _what_if(services: Services, other: Settings, changes: WhatIf) -> None:
    """Add to `changes` each invoice and rule that the other rules judge otherwise."""
    from workers.rejudging import what_if

    with services.database.read() as session:
        environment = other.quickbooks_environment
        everyone = [one for one, _ in connections.everyone(session, environment)]
        total = judging_queue.count(session, environment)
    with progress_bars() as progress:
        bar = progress.add_task("Judging", total=total, note="")
        for company in everyone:
            for judged, others in what_if(services, company.id, other):
                with services.database.read() as session:
                    named = judging_queue.named(session, {one.invoice_id for one in others})
                progress.advance(bar, judged)
                changes.add(company, others, named)
