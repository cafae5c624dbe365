"""That the checks of pages can fail."""

import pytest

from tests.browser.browsing import WIDTHS, Reader, look

BAD = """<!doctype html><html lang="en"><title>Bad</title><main><h1>Bad</h1>
<p style="color: #aaa; background: #fff">pale</p><input>
<p style="width: 2000px">wide</p></main>"""


def test_what_is_wrong_with_a_page_is_found(reader: Reader) -> None:
    page = reader.page()
    page.set_content(BAD)
    with pytest.raises(AssertionError) as found:
        look(page, "bad")
    told = str(found.value)
    assert "bad-360: 20" in told
    assert "px wide" in told
    assert "color-contrast" in told
    assert "label: <input" in told


ROWS = """<!doctype html><html lang="en"><title>Rows</title><main><h1>Rows</h1>
<table><thead><tr><th>Number</th></tr></thead><tbody><tr><td><a href="/1">one</a></td></tr>
<tr><td><a href="/2">two</a></td></tr>
<tr><td><a href="/3" style="color: #aaa; background: #fff">pale</a></td></tr>
<tr><td><a href="/4"></a></td></tr></tbody></table></main>"""


def test_of_a_table_each_kind_of_row_is_looked_at(reader: Reader) -> None:
    page = reader.page()
    page.set_content(ROWS)
    with pytest.raises(AssertionError) as found:
        look(page, "rows")
    told = str(found.value)
    pale, nameless = 'color-contrast: <a href="/3"', 'link-name: <a href="/4"'
    assert told.count(pale) == told.count("color-contrast") == 4
    assert told.count(nameless) == told.count("link-name") == len(WIDTHS)
    assert page.locator("[data-repeats]").count() == 1


BEYOND = """<!doctype html><html lang="en"><title>Beyond</title><main><h1>Beyond</h1>
<section class="card" style="width: 9rem"><p>Oldest pending</p>
<time style="white-space: nowrap">26 November 2026, 04:22 UTC</time>
<div style="overflow-x: auto" tabindex="0"><code style="white-space: nowrap">one that scrolls in
its own place</code></div>
<details><summary>More</summary><code style="white-space: nowrap">one that is folded away</code>
</details></section></main>"""


def test_what_leaves_its_card_is_found_unless_it_scrolls(reader: Reader) -> None:
    page = reader.page()
    page.set_content(BEYOND)
    with pytest.raises(AssertionError) as found:
        look(page, "beyond")
    lines = str(found.value).splitlines()
    assert [line.partition(": ")[0] for line in lines if "beyond its card: <time" in line] == [
        f"beyond-{width}" for width in WIDTHS
    ]
    assert "<code" not in str(found.value)
    page.locator("time").evaluate("element => { element.style.whiteSpace = 'normal'; }")
    look(page, "within")


def test_a_page_that_asks_elsewhere_is_told(reader: Reader) -> None:
    page = reader.page()
    page.set_content('<img src="https://elsewhere.invalid/x.png" alt="">')
    page.wait_for_load_state("networkidle")
    assert reader.wrong == ["asked for https://elsewhere.invalid/x.png"]
    reader.wrong.clear()
