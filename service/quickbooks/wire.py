"""How this service stands on httpx, whoever is called: no cookies, no redirects, no strange errors.

In `service`, httpx is called here, in `auth`, `client` and `oauth`, and in `service.teller`, which
speaks to operators and not to Intuit.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from service.errors import TransientError

TIMED_OUT = "timeout"
"""The `code` of the error for an answer that took too long: a smaller query may pass."""

# httpx writes every address into its log, and Intuit's addresses hold the realm id.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def no_cookies() -> CookieJar:
    """Return a jar that stays empty, so that one company's answer says nothing to the next."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


@contextmanager
def reaching_intuit() -> Iterator[None]:
    """Turn every failure to get a whole answer into TransientError.

    Without the cause: httpx repeats headers, addresses and broken bytes in its messages.
    """
    try:
        yield
    except httpx.ReadTimeout:
        raise TransientError("QuickBooks did not answer in time", code=TIMED_OUT) from None
    except httpx.RequestError as e:
        raise TransientError(f"QuickBooks could not be reached ({type(e).__name__})") from None
