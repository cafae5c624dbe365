"""The pages for misbehaviour: switches, the next calls and webhooks, the clock."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import inspect
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.simulator.clock import to_zulu
from service.simulator.faults import CATALOGUE
from service.simulator.pages.render import render
from service.simulator.records import Json
from service.simulator.responses import simulator_of
from service.simulator.script import presets
from service.simulator.state import Simulator
from service.simulator.switches import WORDS, Switches

# The first switch of each group, in the order of `Switches`.
GROUPS = {
    "old_refresh_grace": "Authorisation",
    "requests_per_minute": "Limits",
    "batch_items": "Accounting API",
    "payment_updates_invoice": "What a change makes known",
    "format": "What a delivery looks like",
    "webhooks": "How deliveries travel",
}

DONE = {
    "saved": "Switches saved.",
    "fault": "The next calls will get that answer.",
    "webhook": "The next webhooks will go astray.",
    "test": "A test event is on its way.",
    "clock": "The clock has moved.",
    "calm": "Everything behaves again: no faults, no poison, every switch as usual.",
}


async def calls(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        page = {"calls": simulator.calls.last(200), "summary": simulator.calls.summary()}
        page["limits"] = simulator.limits.shown(simulator.clock.now())
    return render(request, "calls.html", page)


async def misbehave(request: Request) -> Response:
    return _page(request)


async def order(request: Request) -> Response:
    simulator, action = simulator_of(request), request.path_params["action"]
    form = {key: str(value) for key, value in (await request.form()).items()}
    if action not in _ACTIONS:
        return render(request, "missing.html", {"what": "order"}, 404)
    try:
        with simulator.lock:
            _ACTIONS[action](simulator, form)
    except ValueError as e:
        return _page(request, problem=str(e), status=400)
    return RedirectResponse(f"/misbehave?{urlencode({'done': action})}", status_code=303)


def _save(simulator: Simulator, form: Mapping[str, str]) -> None:
    simulator.switch(wanted(form))


def _fault(simulator: Simulator, form: Mapping[str, str]) -> None:
    what, name = form.get("answer", "").partition(":")[::2]
    rule: Json = {"count": int(form.get("count") or 1)}
    if what in ("preset", "fault"):
        rule[what] = name
    elif what in ("drop", "lose", "cut"):
        rule[what] = True
    else:
        raise ValueError("Choose an answer.")
    if what == "fault" and form.get("in_200"):
        rule["status"] = 200
    rule |= {field: form[field] for field in ("kind", "company") if form.get(field)}
    simulator.script.add(rule)


def _webhook(simulator: Simulator, form: Mapping[str, str]) -> None:
    simulator.sender.mischief.add(
        {"action": form.get("what"), "count": int(form.get("count") or 1)}
    )


def _test(simulator: Simulator, _: Mapping[str, str]) -> None:
    simulator.sender.test()


def _clock(simulator: Simulator, form: Mapping[str, str]) -> None:
    simulator.clock.advance(float(form.get("seconds") or 0))


def _calm(simulator: Simulator, _: Mapping[str, str]) -> None:
    simulator.behave()


_ACTIONS: dict[str, Callable[[Simulator, Mapping[str, str]], None]] = {
    "saved": _save,
    "fault": _fault,
    "webhook": _webhook,
    "test": _test,
    "clock": _clock,
    "calm": _calm,
}


def _page(request: Request, problem: str = "", status: int = 200) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        page = {
            "groups": shown(simulator.switches),
            "companies": list(simulator.companies.values()),
            "rules": simulator.script.rules,
            "tricks": simulator.sender.mischief.tricks,
            "now": to_zulu(simulator.clock.now()),
        }
    done = DONE.get(request.query_params.get("done", ""), "")
    known = {"presets": list(presets()), "faults": list(CATALOGUE), "done": done}
    return render(request, "misbehave.html", {**page, **known, "problem": problem}, status)


def shown(switches: Switches) -> list[Json]:
    """Return the groups with their fields: name, words, kind, choices, value, usual, default."""
    values, usual = msgspec.to_builtins(switches), msgspec.to_builtins(Switches())
    groups: list[Json] = []
    for field in _fields():
        if field.name in GROUPS:
            groups.append({"title": GROUPS[field.name], "fields": []})
        kind, choices, _ = _kind(field.type)
        value = values[field.name]
        groups[-1]["fields"].append(
            {
                "name": field.name,
                "words": WORDS[field.name],
                "kind": kind,
                "choices": choices,
                "value": _text(value),
                "usual": value == usual[field.name],
                "default": _text(usual[field.name]),
            }
        )
    return groups


def wanted(form: Mapping[str, str]) -> Json:
    """Return the settings in the form; raises ValueError naming the bad field."""
    found: Json = {}
    for field in _fields():
        kind, choices, optional = _kind(field.type)
        text = form.get(field.name, "").strip()
        if kind == "bool":
            found[field.name] = bool(text)
        elif not text and optional:
            found[field.name] = None
        else:
            found[field.name] = _value(field.name, kind, choices, text)
    return found


def _value(name: str, kind: str, choices: list[Any], text: str) -> Any:
    if kind == "choice":
        return next((choice for choice in choices if str(choice) == text), text)
    if kind == "date":
        return text
    try:
        numbers = [_number(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} is not a number: {text}") from None
    return numbers if kind == "list" else numbers[0]


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _fields() -> tuple[inspect.Field, ...]:
    info = inspect.type_info(Switches)
    return info.fields if isinstance(info, inspect.StructType) else ()


def _kind(type_: inspect.Type) -> tuple[str, list[Any], bool]:
    """Return a switch's input type, its choices, and whether it may be empty."""
    if isinstance(type_, inspect.UnionType):
        inner = next(t for t in type_.types if not isinstance(t, inspect.NoneType))
        kind, choices, _ = _kind(inner)
        return kind, choices, True
    if isinstance(type_, inspect.LiteralType):
        return "choice", list(type_.values), False
    kinds: dict[type, str] = {
        inspect.BoolType: "bool",
        inspect.DateType: "date",
        inspect.ListType: "list",
        inspect.TupleType: "list",
    }
    return kinds.get(type(type_), "number"), [], False


routes = [
    Route("/calls", calls),
    Route("/misbehave", misbehave),
    Route("/misbehave/{action}", order, methods=["POST"]),
]
