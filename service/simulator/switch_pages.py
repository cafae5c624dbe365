"""The pages for misbehaviours: switches, orders for the next calls and webhooks, the clock."""

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.simulator import switch_form
from service.simulator.answers import simulator_of
from service.simulator.catalogue import CATALOGUE
from service.simulator.clock import to_zulu
from service.simulator.records import Json
from service.simulator.render import render
from service.simulator.script import presets
from service.simulator.simulator import Simulator

DONE = {
    "saved": "Switches saved.",
    "fault": "The next calls will get that answer.",
    "webhook": "The next webhooks will go astray.",
    "test": "A test event is on its way.",
    "clock": "The clock has moved.",
    "calm": "Everything behaves again: no faults, no poison, every switch as usual.",
}


async def calls(request: Request) -> Response:
    """Show the last calls."""
    simulator = simulator_of(request)
    with simulator.lock:
        page = {"calls": simulator.calls.last(200), "summary": simulator.calls.summary()}
        page["limits"] = simulator.limits.shown(simulator.clock.now())
    return render(request, "calls.html", page)


async def misbehave(request: Request) -> Response:
    """Show the switches and what is ordered."""
    return _page(request)


async def order(request: Request) -> Response:
    """Do what one of the forms asks for."""
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
    simulator.switch(switch_form.wanted(form))


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
            "groups": switch_form.shown(simulator.switches),
            "companies": list(simulator.companies.values()),
            "rules": simulator.script.rules,
            "tricks": simulator.sender.mischief.tricks,
            "now": to_zulu(simulator.clock.now()),
        }
    done = DONE.get(request.query_params.get("done", ""), "")
    known = {"presets": list(presets()), "faults": list(CATALOGUE), "done": done}
    return render(request, "misbehave.html", {**page, **known, "problem": problem}, status)


routes = [
    Route("/calls", calls),
    Route("/misbehave", misbehave),
    Route("/misbehave/{action}", order, methods=["POST"]),
]
