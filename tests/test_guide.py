"""The guide in service/guide names files and functions; each of them exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.rules import catalogue_in_markdown
from service.guide import chapters
from service.guide.as_html import as_html
from service.monitoring.pages import TITLES
from tests.conditions import causes

ROOT = Path(__file__).parent.parent
GUIDE = sorted((ROOT / "service" / "guide").glob("*.md"))
_NAMED = re.compile(r"`((?:service|workers|tests)/[^`\s:]*)(?::([\w.]+))?`")


def missing(text: str) -> list[str]:
    """Return which `path` and `path:name` of a text do not exist, as they are written there."""
    return [
        f"{path}:{name}" if name else path
        for path, name in _NAMED.findall(text)
        if not (ROOT / path).exists() or (name and name not in set(defined(ROOT / path)))
    ]


def defined(path: Path) -> Iterator[str]:
    """Give what a module defines, and `Class.member` for what its classes do."""
    for node in ast.parse(path.read_text()).body:
        yield from _names(node)
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for inner in node.body for name in _names(inner))


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


@pytest.mark.parametrize("page", GUIDE, ids=[page.stem for page in GUIDE])
def test_everything_that_the_guide_names_exists(page: Path):
    assert missing(page.read_text()) == []


@pytest.mark.parametrize("page", GUIDE, ids=[page.stem for page in GUIDE])
def test_no_line_of_prose_is_longer_than_120_characters(page: Path):
    """Tables, code and a link by itself cannot be wrapped."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    long = [line for line in prose.splitlines() if len(line) > 120]
    assert [one for one in long if not one.startswith("|") and len(one.split()) > 1] == []


def test_a_name_that_is_gone_is_found():
    text = """`service/app.py` and `service/app.py:routes` and `service/services.py:Services.close`
    and `tests/` exist; `service/nowhere.py`, `service/store/nothing/`, `service/app.py:nobody` and
    `service/services.py:Services.routes` do not, and nor does `workers/sync.py:Services`."""
    assert missing(text) == [
        "service/nowhere.py",
        "service/store/nothing/",
        "service/app.py:nobody",
        "service/services.py:Services.routes",
        "workers/sync.py:Services",
    ]


def test_the_guide_names_every_package_and_every_file_outside_one():
    text = (ROOT / "service" / "guide" / "architecture.md").read_text()
    rooms = [*(ROOT / "service").iterdir(), *(ROOT / "workers").iterdir()]
    rooms += (ROOT / "service" / "web").glob("*/")
    named = [
        f"{path.relative_to(ROOT)}/" if path.is_dir() else str(path.relative_to(ROOT))
        for path in rooms
        if path.name not in ("__init__.py", "__pycache__")
        and (path.is_dir() or path.suffix == ".py")
    ]
    assert "service/store/" in named
    assert [name for name in named if f"`{name}`" not in text] == []


def test_the_guides_table_of_rules_is_the_one_that_the_code_has():
    page = (ROOT / "service" / "guide" / "rules.md").read_text()
    assert "".join(f"{line}\n" for line in catalogue_in_markdown()) in page


def test_every_condition_has_its_paragraph_and_stands_in_the_table_of_faults():
    page = (ROOT / "service" / "guide" / "operating.md").read_text()
    alarms, table = page.split("## Faults, and what happens")
    described = {
        name
        for line in alarms.splitlines()
        if line.startswith("- **`")
        for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", line.partition("**:")[0])
    }
    assert described == causes()
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\|.*\|$", table, re.M)
    ]
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    told = {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row[2])}
    assert told == causes()


def test_every_page_of_the_folder_is_a_page_of_the_guide():
    assert sorted(chapters.PURPOSES) == [page.stem for page in GUIDE]


def test_every_condition_has_a_title_a_paragraph_and_a_place_to_link_to():
    operating = chapters.chapter(chapters.CONDITIONS)
    assert operating is not None
    shown = as_html(operating, "/guide")
    assert {cause for cause in TITLES if chapters.paragraph(cause) is None} == set()
    assert {cause for cause in TITLES if f'id="{cause}"' not in shown} == set()


def test_a_paragraph_ends_where_the_next_begins():
    text = chapters.paragraph("verifier.missing")
    assert text is not None
    assert text.startswith("**`verifier.missing`**: a receiver has no verifier token")
    assert text.endswith("QuickBooks sends them again.")
    assert chapters.paragraph("token.ending_soon") == chapters.paragraph("token.ending")
    assert chapters.paragraph("nothing.such") is None


def test_every_link_of_the_guide_and_the_readme_leads_somewhere():
    """Also where it is read on a code host: by the file's name, from the file's folder."""
    wrong = []
    for file in (*GUIDE, ROOT / "README.md"):
        for address in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
            path, _, place = address.partition("#")
            if path.startswith("https://"):
                continue
            there = (file.parent / path).resolve() if path else file
            if not there.is_file() or (place and f'id="{place}"' not in _html(there)):
                wrong.append(f"{file.name}: {address}")
    assert wrong == []


def _html(file: Path) -> str:
    page = chapters.chapter(file.stem)
    return as_html(page, "/guide") if page else ""


def test_links_between_pages_work_as_html_as_well():
    page = chapters.Chapter(
        "one", "One", "", "# One\n\nSee [two](two.md#some-place), [out](https://x.example)."
    )
    assert as_html(page, "/ops/guide") == (
        '<p>See <a href="/ops/guide/two#some-place">two</a>, <a href="https://x.example">out</a>.</p>\n'
    )
