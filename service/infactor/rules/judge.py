"""Judges one invoice by the rules in force."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain import RuleCode
from service.infactor.rules.book import RuleBook
from service.infactor.rules.catalogue import CATALOGUE
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Mode


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that applies to an invoice, and the figures that make it apply."""

    code: RuleCode
    figures: Figures

    def __str__(self) -> str:
        return CATALOGUE[self.code].explains.format_map(self.figures)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every rule that applies to an invoice, in the catalogue's order."""

    holds: tuple[Reason, ...] = ()
    signals: tuple[Reason, ...] = ()

    @property
    def hold(self) -> RuleCode | None:
        """The leading reason why the invoice is not offered, None if it is offered."""
        return self.holds[0].code if self.holds else None


def judge(facts: InvoiceFacts, around: Circumstances, book: RuleBook) -> Judgement:
    """Return every rule in force that applies. A deleted invoice has no other reason than that."""
    holds: list[Reason] = []
    signals: list[Reason] = []
    for one in book.in_force:
        figures = one.rule.test(facts, around, one.limit)
        if figures is None:
            continue
        reason = Reason(one.rule.code, figures)
        (holds if one.mode is Mode.HOLD else signals).append(reason)
        if reason.code is RuleCode.DELETED:
            break
    return Judgement(tuple(holds), tuple(signals))


def plain(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """Return reasons as the record keeps them: [{"code", "figures": {name: text}}]."""
    return [{"code": one.code.value, "figures": dict(one.figures)} for one in reasons]


def reasons_of(kept: Sequence[Mapping[str, Any]]) -> Iterator[Reason]:
    """Yield the reasons that `plain` made."""
    for one in kept:
        yield Reason(RuleCode(one["code"]), one["figures"])
