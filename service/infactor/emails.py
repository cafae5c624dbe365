"""E-mail addresses in QuickBooks' one-line fields.

`BillEmail.Address` and `PrimaryEmailAddr.Address` are free text: several addresses separated by
commas, stray blanks, names around an address, or nothing of use.
"""

import re
from collections.abc import Iterable

_MAX_LENGTH = 254
_SEPARATORS = re.compile(r"[\s,;]+")
_WRAPPING = "<>()[]\"'"
_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\"\\]{1,64}"
    r"@"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])"
)


def addresses(text: str | None) -> tuple[str, ...]:
    """Return the valid addresses of a QuickBooks e-mail field, each once, in its order."""
    words = (word.strip(_WRAPPING) for word in _SEPARATORS.split(text or ""))
    return distinct(word for word in words if _is_address(word))


def distinct(found: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses without repetitions, in which case does not count."""
    spelling: dict[str, str] = {}
    for address in found:
        spelling.setdefault(address.casefold(), address)
    return tuple(spelling.values())


def _is_address(word: str) -> bool:
    # Not printable: a zero-width space that came along with copy and paste, for example.
    well_formed = _ADDRESS.fullmatch(word) is not None and word.isprintable()
    return well_formed and len(word) <= _MAX_LENGTH
