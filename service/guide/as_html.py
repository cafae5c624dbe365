"""A chapter of the guide as HTML, with a place to link to for each heading and each condition."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from service.guide.chapters import Chapter

# The texts are this project's own, and the only HTML in them is comments.
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_CONDITION = re.compile(r"\*\*(`[a-z_]+\.[a-z_]+`(?:, )?)+\*\*")
_NOT_IN_IDS = re.compile(r"[^\w\- ]")
_OTHER_PAGE = re.compile(r"([a-z]+)\.md(#.*)?")


@cache
def as_html(chapter: Chapter, base: str) -> Markup:
    """Return the chapter without its title. Links to other pages of the guide go below `base`."""
    tokens = _MARKDOWN.parse(chapter.text)
    _name_headings(tokens)
    _name_conditions(tokens)
    for token in tokens:
        _point_links(token.children or (), base)
        if token.type == "table_open":  # it scrolls on a phone: by the keyboard as well
            token.attrSet("tabindex", "0")
    return Markup(_MARKDOWN.renderer.render(tokens[3:], _MARKDOWN.options, {}))  # noqa: S704


def slug(heading: str) -> str:
    """Return the id that a heading has on GitHub as well, so that a link works in both places."""
    return _NOT_IN_IDS.sub("", heading.lower()).replace(" ", "-")


def _name_headings(tokens: Sequence[Token]) -> None:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", slug(inline.content))


def _name_conditions(tokens: Sequence[Token]) -> None:
    """Give each condition an id: its code's, because one paragraph may be about two."""
    for inline in tokens:
        found = _CONDITION.match(inline.content) if inline.type == "inline" else None
        named = set(re.findall(r"`(.+?)`", found[0])) if found else set()
        for child in inline.children or ():
            if child.type == "code_inline" and child.content in named:
                child.attrSet("id", child.content)
                named.remove(child.content)


def _point_links(tokens: Sequence[Token], base: str) -> None:
    for token in tokens:
        href = token.attrGet("href")
        other = _OTHER_PAGE.fullmatch(str(href)) if href else None
        if other:
            token.attrSet("href", f"{base}/{other[1]}{other[2] or ''}")
