"""The pages for misbehaviours, used as a person would without JavaScript."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from service.simulator.switches import WORDS, Switches
from tests.simulator.wire import REALM, App, Wire, wait_until


class _Form(HTMLParser):
    """Collects what a browser would send back of the form with this action."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._action, self._inside, self._select = action, False, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = found.get("action") == self._action
        elif self._inside and tag == "input":
            if found.get("type") != "checkbox" or "checked" in found:
                self.values[found["name"]] = found.get("value", "")
        elif tag == "select":
            self._select = found.get("name", "")
        elif self._inside and tag == "option" and "selected" in found:
            self._option = True

    def handle_data(self, data: str) -> None:
        if getattr(self, "_option", False):
            self.values[self._select], self._option = data.strip(), False


def _form(wire: Wire) -> dict[str, str]:
    form = _Form("/misbehave/saved")
    form.feed(wire.http.get("/misbehave").text)
    return form.values


def _press(wire: Wire, action: str, **form: str) -> str:
    answer = wire.http.post(f"/misbehave/{action}", data=form)
    assert answer.status_code == 303, answer.text
    return wire.http.get(answer.headers["location"]).text


def _settings(wire: Wire) -> dict[str, Any]:
    return wire.http.get("/_sim/settings").json()


def test_every_switch_is_explained_and_on_the_page(wire: Wire) -> None:
    assert list(WORDS) == list(Switches.__struct_fields__)
    page = wire.http.get("/misbehave").text
    assert all(f'name="{name}"' in page for name in WORDS)


def test_the_form_sent_back_as_it_is_changes_nothing(wire: Wire) -> None:
    before = _settings(wire)
    assert "Switches saved." in _press(wire, "saved", **_form(wire))
    assert _settings(wire) == before


def test_switches_are_set_with_the_form(wire: Wire) -> None:
    changes = {
        "racing_refresh": "revokes",
        "requests_per_minute": "",
        "reads_per_month": "500000",
        "books_closed_until": "2026-06-30",
        "unique_numbers": "1",
        "time_digits": "9",
        "retry_seconds": "1, 2.5",
        "delay_seconds": "0, 300",
    }
    before = _settings(wire)
    page = _press(wire, "saved", **_form(wire) | changes)
    assert "changed, usually refused" in page
    assert _settings(wire) == before | {
        "racing_refresh": "revokes",
        "requests_per_minute": None,
        "reads_per_month": 500000,
        "books_closed_until": "2026-06-30",
        "unique_numbers": True,
        "time_digits": 9,
        "retry_seconds": [1, 2.5],
        "delay_seconds": [0, 300],
    }
    unticked = {k: v for k, v in _form(wire).items() if k != "unique_numbers"}
    _press(wire, "saved", **unticked)
    assert _settings(wire)["unique_numbers"] is False


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"requests_per_minute": "many"}, "requests_per_minute is not a number: many"),
        ({"drop_share": "2"}, "Expected `float` &lt;= 1.0"),
        ({"void": "gone"}, "Invalid enum value"),
    ],
)
def test_what_cannot_be_set_is_said(wire: Wire, changes: dict[str, str], problem: str) -> None:
    before = _settings(wire)
    answer = wire.http.post("/misbehave/saved", data=_form(wire) | changes)
    assert (answer.status_code, problem in answer.text) == (400, True)
    assert _settings(wire) == before


def test_the_next_calls_can_be_ordered_to_fail(wire: Wire) -> None:
    wire.connect()
    page = _press(wire, "fault", answer="fault:6190", kind="read", company=REALM, in_200="1")
    assert "ordered: 6190" in page
    assert wire.query("select * from Invoice").status_code == 200
    answer = wire.get("invoice/145")
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (200, "6190")
    _press(wire, "fault", answer="preset:503-html", count="2")
    assert wire.get("invoice/145").status_code == 503
    assert "503" in wire.http.get("/calls").text
    assert wire.http.post("/misbehave/fault", data={"count": "1"}).status_code == 400


def test_the_next_webhooks_can_be_ordered_to_go_astray(notifying: Wire, app: App) -> None:
    notifying.connect()
    assert "ordered: duplicate (1)" in _press(notifying, "webhook", what="duplicate", count="1")
    notifying.put("Invoice", {"Id": "9"})
    wait_until(lambda: len(app.heard) == 2)
    _press(notifying, "test")
    wait_until(lambda: len(app.heard) == 3)
    assert json.loads(app.heard[2].body)[0]["intuitaccountid"] == "310687"


def test_an_invoice_can_be_poisoned_and_healed_on_its_page(wire: Wire) -> None:
    wire.connect()
    page = f"/companies/{REALM}/invoices/9"
    assert wire.http.post(f"{page}/poison").status_code == 303
    assert wire.query("select * from Invoice").json()["Fault"]["Error"][0]["code"] == "4002"
    assert ">Heal</button>" in wire.http.get(page).text
    wire.http.post(f"{page}/poison")
    assert wire.query("select * from Invoice").status_code == 200
    assert ">Poison</button>" in wire.http.get(page).text


def test_the_clock_moves_and_everything_can_behave_again(wire: Wire) -> None:
    wire.connect()
    _press(wire, "clock", seconds="3600")
    assert wire.get("invoice/145").status_code == 401
    wire.connect()
    wire.http.post("/_sim/poison", json={"company": REALM, "id": "9"})
    _press(wire, "fault", answer="drop")
    _press(wire, "saved", **_form(wire) | {"void": "voided"})
    assert "Everything behaves again" in _press(wire, "calm")
    assert wire.get("invoice/9").status_code == 200
    assert _settings(wire)["void"] == "void"


def test_the_calls_are_listed_with_what_was_asked(wire: Wire) -> None:
    wire.connect()
    answer = wire.query("select * from Invoice where Id = '<9>'")
    page = wire.http.get("/calls").text
    assert "select * from Invoice where Id = &#39;&lt;9&gt;&#39;" in page
    assert answer.headers["intuit_tid"] in page
    assert wire.token not in page


def test_an_unknown_order_is_404(wire: Wire) -> None:
    assert wire.http.post("/misbehave/dance").status_code == 404
