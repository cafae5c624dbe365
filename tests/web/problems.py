"""The pages of problems to which suppliers are sent."""

import re

import httpx

PROBLEM = re.compile(r"/quickbook/problem/([a-z-]+)/([A-Z2-9]{4}-[A-Z2-9]{4})")


def kind(answer: httpx.Response) -> str:
    """Return the kind of the problem page to which an answer redirects, and to nothing else."""
    assert answer.status_code == 302
    assert "set-cookie" not in answer.headers
    found = PROBLEM.fullmatch(answer.headers["location"])
    assert found, answer.headers["location"]
    return found[1]
