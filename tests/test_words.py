"""The glossary in the guide holds: no text that a person sees uses a word that it rules out."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.guide.chapters import PURPOSES, chapters

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "service"
# What stands in code is a name, and names are for those who change it.
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_MARKUP = re.compile(r"\{#.*?#\}|\{%(?! set words).*?%\}|<[^>]*>", re.DOTALL)


def ruled_out() -> list[str]:
    """Return the words of the glossary's last column."""
    (words,) = (one.text for one in chapters() if one.name == "words")
    glossary = words.split("## Glossary")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!say|-)[^|]+\| [^|]+\| ([^|]+) \|$", glossary, re.MULTILINE)
    return [word for row in rows for word in row.split(", ")]


def found(text: str) -> set[str]:
    words = (re.escape(word) for word in ruled_out())
    return {one.lower() for one in re.findall(rf"\b(?:{'|'.join(words)})\b", text, re.IGNORECASE)}


def pages() -> Iterator[tuple[str, str]]:
    for path in sorted((SERVICE / "web" / "templates").rglob("*.html")):
        yield str(path.relative_to(ROOT)), _MARKUP.sub(" ", path.read_text())


def guide() -> Iterator[tuple[str, str]]:
    for one in chapters():
        if one.name != "words":
            yield f"{one.name}.md", _CODE.sub(" ", one.text)
    yield "chapters.PURPOSES", "\n".join(PURPOSES.values())
    yield "README.md", _CODE.sub(" ", (ROOT / "README.md").read_text())
    yield "example.env", (ROOT / "example.env").read_text()


def code() -> Iterator[tuple[str, str]]:
    """Give the texts in the code of what people read: commands, conditions, pages, rules."""
    modules = [SERVICE / "wording.py", SERVICE / "infactor" / "warnings.py"]
    for folder in ("cli", "monitoring", "web", "infactor/rules", "operations"):
        modules += (SERVICE / folder).rglob("*.py")
    for path in modules:
        for line, text in _texts(ast.parse(path.read_text())):
            yield f"{path.relative_to(ROOT)}:{line}", text


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Give every string but docstrings; of commands, those too, because `--help` prints them."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and isinstance(node.body[0], ast.Expr)
        and not any("says_what_is_wrong" in ast.dump(one) for one in _decorators(node))
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) not in docstrings and " " in node.value:
            yield node.lineno, node.value


def _decorators(node: ast.AST) -> list[ast.expr]:
    return getattr(node, "decorator_list", [])


@pytest.mark.parametrize("texts", [pages, guide, code], ids=["pages", "guide", "code"])
def test_no_text_for_people_has_a_word_that_the_glossary_rules_out(
    texts: Callable[[], Iterator[tuple[str, str]]],
) -> None:
    all_texts = list(texts())
    assert len(all_texts) > 15
    assert [(where, found(text)) for where, text in all_texts if found(text)] == []


def test_a_word_that_is_ruled_out_is_found() -> None:
    assert found("Put it back? It will mend by itself, whoever looks.") == {
        *("mend", "by itself", "whoever")
    }
    assert found("mended, amend, itself") == {"mended"}
