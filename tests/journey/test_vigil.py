"""The storm's vigil sees what is told too late."""

from collections import Counter

from tests.journey.vigil import Key, NoAnswer, Vigil
from tests.servers import wait_until

DEAD, FAILED = ("connection.dead", "c1"), ("webhooks.failed", "c2")


def test_what_waits_in_silence_is_noted_for_as_long_as_it_does() -> None:
    told: set[Key] = {FAILED}
    waiting: set[Key] = {DEAD, FAILED}
    away: list[bool] = []

    def say() -> set[Key]:
        if away:
            raise NoAnswer
        return set(told)

    with Vigil(lambda: set(waiting), say, lambda key, now: key in now, every=0.01) as vigil:
        wait_until(lambda: vigil.longer_than(0.2), what="a silence")
        away.append(True)
        lasted = vigil.silences[DEAD]
        wait_until(lambda: vigil.silences[DEAD] > lasted + 0.2, what="a silence that goes on")
        away.clear()
        told.add(DEAD)
        looks = vigil.looks
        wait_until(lambda: vigil.looks > looks + 2, what="another look")
        noted = dict(vigil.silences)
        looks = vigil.looks
        wait_until(lambda: vigil.looks > looks + 2, what="another look")
    assert vigil.silences == noted
    assert vigil.silences.keys() == {DEAD}
    assert vigil.causes.keys() == Counter(["connection.dead", "webhooks.failed"]).keys()
