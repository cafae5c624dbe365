"""That the checks of pages can fail."""

import pytest

from tests.browser.browsing import Reader, look

BAD = """<!doctype html><html lang="en"><title>Bad</title><main><h1>Bad</h1>
<p style="color: #aaa; background: #fff">pale</p><input>
<p style="width: 2000px">wide</p></main>"""


def test_what_is_wrong_with_a_page_is_found(reader: Reader) -> None:
    page = reader.page()
    page.set_content(BAD)
    with pytest.raises(AssertionError) as found:
        look(page, "bad")
    told = str(found.value)
    assert "bad-360-light: 20" in told
    assert "px wide" in told
    assert "color-contrast" in told
    assert "label: <input" in told


def test_a_page_that_asks_elsewhere_is_told(reader: Reader) -> None:
    page = reader.page()
    page.set_content('<img src="https://elsewhere.invalid/x.png" alt="">')
    page.wait_for_load_state("networkidle")
    assert reader.wrong == ["asked for https://elsewhere.invalid/x.png"]
    reader.wrong.clear()
