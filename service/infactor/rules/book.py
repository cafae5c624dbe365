"""The rules as they are in force: the profile's defaults, and what an operator has changed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from service.domain import RuleCode
from service.infactor.rules.catalogue import CATALOGUE
from service.infactor.rules.rule import Mode, Profile, Rule
from service.infactor.source_digest import source_digest

_RULES_VERSION = source_digest(Path(__file__).parent)
_MODES = ", ".join(Mode)
_LARGEST_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What an operator has changed of one rule; `limit` is None where the default's stays."""

    code: RuleCode
    mode: Mode
    limit: int | None


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule with its mode and limit; a rule without a limit has 0."""

    rule: Rule
    mode: Mode
    limit: int


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Every rule with what follows from it, in the catalogue's order."""

    every: tuple[RuleInForce, ...]
    in_force: tuple[RuleInForce, ...]
    """Those that are not off."""
    digest: str
    """Another one whenever the same invoice might be judged otherwise."""

    def limit_of(self, code: RuleCode) -> int | None:
        """Return the limit of a rule that is in force; None of one that is off."""
        return next((one.limit for one in self.in_force if one.rule.code is code), None)

    def holds(self, code: RuleCode) -> bool:
        """Return whether an invoice is not offered while this rule applies."""
        return any(one.mode is Mode.HOLD for one in self.in_force if one.rule.code is code)

    def asks_any(self, codes: Collection[RuleCode]) -> bool:
        """Return whether any of these rules is in force."""
        return any(one.rule.code in codes for one in self.in_force)


@lru_cache(maxsize=32)
def rule_book(profile: Profile, changes: tuple[RuleChange, ...] = ()) -> RuleBook:
    """Return the rules of this profile with these changes."""
    changed = {change.code: change for change in changes}
    every = tuple(_in_force(rule, profile, changed.get(rule.code)) for rule in CATALOGUE.values())
    text = " ".join(f"{one.rule.code}={one.mode}:{one.limit}" for one in every)
    digest = blake2b(f"{_RULES_VERSION} {text}".encode(), digest_size=8).hexdigest()
    in_force = tuple(one for one in every if one.mode is not Mode.OFF)
    return RuleBook(every, in_force, digest)


def _in_force(rule: Rule, profile: Profile, change: RuleChange | None) -> RuleInForce:
    default = rule.limit.value if rule.limit else 0
    if change is None:
        return RuleInForce(rule, rule.default(profile), default)
    return RuleInForce(rule, change.mode, default if change.limit is None else change.limit)


def parse_changes(text: str) -> tuple[RuleChange, ...]:
    """Return the changes in `code=off|signal|hold[:limit],…`; raises ValueError with the fix."""
    changes = tuple(_parsed_changes(text.split(",")))
    codes = [change.code for change in changes]
    if twice := next((code for code in codes if codes.count(code) > 1), None):
        raise ValueError(f"names {twice} twice; keep one of them")
    return changes


def _parsed_changes(parts: Sequence[str]) -> Iterator[RuleChange]:
    for part in filter(None, map(str.strip, parts)):
        name, _, rest = (piece.strip() for piece in part.partition("="))
        mode, colon, limit = (piece.strip() for piece in rest.partition(":"))
        if name not in list(RuleCode):
            raise ValueError(f"there is no rule {name!r}; the rules are: {', '.join(CATALOGUE)}")
        code = RuleCode(name)
        if mode not in list(Mode):
            raise ValueError(f"{code}: must be one of {_MODES}, such as {code}=signal")
        yield RuleChange(code, Mode(mode), _parsed_limit(code, limit) if colon else None)


def _parsed_limit(code: RuleCode, text: str) -> int:
    default = CATALOGUE[code].limit
    if default is None:
        raise ValueError(f"{code}: has no limit; write {code}=hold")
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST_LIMIT:
        raise ValueError(
            f"{code}: the limit must be a whole number of {default.unit}, such as"
            f" {code}=hold:{default.value}"
        )
    return int(text)
