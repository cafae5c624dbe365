"""Which text a person sees as it is: without hidden characters or reversed direction."""

import re
import unicodedata

_UNSHOWN = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
_COMMANDS = _UNSHOWN - {"Cn", "Co"}  # a newer emoji only looks odd on an older terminal
_TURNS_TEXT = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# A password with an @ in it ends up in what drivers take for the host. It is looked for where a
# word begins: from each letter of a very long one, that took minutes.
_ADDRESS = re.compile(r"(?<![^\s'\"])[^\s'\"]*@[^\s'\"]*")
_LONGEST_CAUSE = 200


def is_showable(text: str) -> bool:
    return all(map(_is_shown, text))


def one_line(value: object, longest: int) -> str:
    """Return a text as one visible line of at most `longest` characters; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    shown = "".join(c if _is_shown(c) else " " for c in value)
    return " ".join(shown.split())[:longest].rstrip()


def shown(text: str, keep: str = "") -> str:
    """Return a text that gives no orders to a terminal and reads in one direction, in its length.

    Of what a person would not see as it is only `keep` stays, such as line ends.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in keep or not _commands(c) else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _commands(character: str) -> bool:
    return unicodedata.category(character) in _COMMANDS or character in _TURNS_TEXT


def cause_of(error: BaseException | None) -> str:
    """Return the first line of what a driver says is wrong, without addresses or passwords."""
    first = next(iter(str(error or "").strip().splitlines()), "")
    text = one_line(first.removeprefix("connection failed: "), len(first))
    return _ADDRESS.sub("…", text)[:_LONGEST_CAUSE].rstrip(" .:;") or "for a reason it does not say"


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in _UNSHOWN and character not in _TURNS_TEXT
