"""TLS towards other parties' servers."""

import ssl
from functools import cache

import httpx


@cache
def public_authorities() -> ssl.SSLContext:
    """Return the context that trusts the public certificate authorities, made once for the process.

    Every client shares it: to read the authorities takes a client 30 ms, at each start and in each
    test. Neither `SSL_CERT_FILE` nor anything else of the environment is looked at.
    """
    return httpx.create_ssl_context(trust_env=False)
