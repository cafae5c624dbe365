"""Who may log in to the operators' pages, as OPS_USERS names them."""

import re
from dataclasses import dataclass, field
from hashlib import sha256

from service.passwords import is_hash

LONGEST_NAME = 32
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{LONGEST_NAME - 1}}}", re.ASCII)
_HOW = "make it with `infactor-quickbooks ops-user NAME`"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator, and the hash of their password."""

    name: str
    password_hash: str = field(repr=False)

    @property
    def actor(self) -> str:
        """What the audit calls them, so that nobody takes them for a user of a command line."""
        return f"ops:{self.name}"

    @property
    def mark(self) -> str:
        """What a session keeps of the password, to end with it when it is changed."""
        return sha256(self.password_hash.encode()).hexdigest()


def is_name(text: str) -> bool:
    """Return whether an operator can be called so."""
    return _NAME.fullmatch(text) is not None


def parse_operators(text: str) -> tuple[Operator, ...]:
    """Return the operators in their order; raises ValueError that says which entry is wrong."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = tuple(_parse(part, number) for number, part in enumerate(parts, start=1))
    for number, operator in enumerate(found, start=1):
        if operator.name in {earlier.name for earlier in found[: number - 1]}:
            raise ValueError(f"entry {number} has the name of an earlier one")
    return found


def _parse(part: str, number: int) -> Operator:
    name, _, password_hash = part.partition(":")
    if not is_name(name):
        raise ValueError(
            f"entry {number} has no name of lower-case letters, digits, dots and hyphens before"
            f" its colon; {_HOW}"
        )
    if not is_hash(password_hash):
        raise ValueError(f"entry {number} has no hash after its colon; {_HOW}")
    return Operator(name, password_hash)
