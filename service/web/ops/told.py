"""What a page says after something was done, by a word in its address and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

_TEXTS: Mapping[str, tuple[bool, str]] = {
    "paused": (True, "Paused: nobody calls QuickBooks for this company until you resume it."),
    "was-paused": (True, "It was paused already."),
    "resumed": (True, "Resumed: what changed meanwhile is read now."),
    "was-not-paused": (True, "It was not paused."),
    "sync": (True, "Asked for: what changed since the last look is read within seconds."),
    "backfill": (True, "The backfill has begun, or the one under way was joined."),
    "reconcile": (True, "The reconcile has begun, or the one under way was joined."),
    "halted": (
        False,
        "Nothing was begun: an earlier run has stopped and waits for a decision, see below.",
    ),
    "not-readable": (False, "Nothing was done: the company is paused or not connected."),
    "disconnected": (True, "Disconnected: its tokens were given back to QuickBooks."),
    "disconnected-here": (
        False,
        "Disconnected here, but QuickBooks has not confirmed it: to be sure, let the supplier"
        " disconnect the app in QuickBooks.",
    ),
    "was-disconnected": (True, "It was disconnected already."),
    "not-revoked": (
        False,
        "Left as it is, because QuickBooks has not confirmed it. Try again later, or disconnect it"
        " here alone.",
    ),
    "connected-again": (
        False,
        "Nothing was changed: its supplier has connected it again meanwhile.",
    ),
    "released": (True, "Released: whoever connects the company next has it."),
    "is-connected": (False, "Nothing was changed: disconnect the company first."),
    "replayed": (True, "{count} put back, to be worked on again."),
    "nothing-replayed": (
        False,
        "Nothing was put back: choose notices that are parked or done.",
    ),
    "acknowledged": (True, "Acknowledged: it is told again only if it changes."),
    "no-note": (False, "Nothing was noted: say what was done about it."),
    "no-finding": (False, "Nothing was noted: the finding is over, or has changed meanwhile."),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One message, and whether it is good news."""

    text: str
    good: bool


def told(query: Mapping[str, str]) -> Told | None:
    """Return the message that the address asks for, if it is one of ours."""
    known = _TEXTS.get(query.get("told", ""))
    if known is None:
        return None
    good, text = known
    digits = query.get("count", "0")
    count = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 7 else 0
    notices = "1 notice" if count == 1 else f"{count:,} notices"
    return Told(text.format(count=notices), good)


def then(address: str, word: str, **more: str | int) -> Response:
    """Redirect to a page that says what was done."""
    mark = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{mark}{urlencode({'told': word, **more})}", 303)
