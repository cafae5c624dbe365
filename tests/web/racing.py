"""Requests of one browser or of two at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

import httpx

from tests.web.conftest import Place


def at_once(*calls: Callable[[], httpx.Response]) -> list[str]:
    """Return where the answers of calls made at the same moment lead, in the calls' order."""
    gate = threading.Barrier(len(calls))
    found: list[str] = [""] * len(calls)

    def run(number: int) -> None:
        gate.wait()
        found[number] = calls[number]().headers["location"]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def slow_company_info(place: Place) -> None:
    """Let both journeys pass the first look at whose company it is."""
    rule: dict[str, Any] = {"kind": "companyinfo", "delay": 0.5, "count": None}
    place.sim("POST", "/faults", rule)


def place_of(address: str) -> str:
    return address.rpartition("/")[0]
