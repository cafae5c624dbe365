"""Connect and view links, and the tokens that open the API: JWTs, each for one purpose alone.

Infactor's own server signs them with INFACTOR_SHARED_SECRET, and this service's command line signs
links. The holder of a link acts for a supplier, and the holder of an API token for Infactor. So the
algorithm is pinned, and every claim is checked before it is shown, stored or believed.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.jwk import OctKey

from service.errors import LinkError
from service.infactor import mapping
from service.kit.text import is_showable

Purpose = Literal["connect", "view"]

LONGEST = {"email": 320, "name": 200, "address": 500}
"""How many characters a link carries of each."""

ISSUER = "infactor"
AUDIENCE = "infactor-quickbooks"
API_PURPOSE = "api"
CONNECT_PATH = "/quickbook/authorise"
VIEW_PATH = "/quickbook/view"

CONNECT_LIFE = timedelta(days=7)
"""A connect link goes out by e-mail and waits until the bookkeeper has time."""

VIEW_LIFE = timedelta(hours=24)
"""A view link shows invoices to its holder as often as they like, for a day."""

LONGEST_LIFE = timedelta(days=30)
"""The most that any issuer may ask for: a used link is remembered until it expires."""

LONGEST_API_LIFE = timedelta(hours=1)
"""The most that a token of the API may live: it is signed anew for each call, or nearly so."""

_ALGORITHM = "HS256"
_MAX_TOKEN = 4096
_CLOCK_SKEW = 300  # seconds by which the clock of Infactor's server may be ahead of ours


class LinkExpired(LinkError):
    """The link was valid and is too old."""


@dataclass(frozen=True, slots=True)
class Link:
    """The claims of a link; `id` identifies it, so that it can be used up."""

    purpose: Purpose
    email: str
    name: str
    address: str
    another_company: bool
    id: str
    expires_at: datetime


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str | list[str]
    purpose: str
    iat: int = 0
    nbf: int = 0
    exp: int


class _LinkClaims(_Claims, frozen=True, kw_only=True):
    sub: Annotated[str, msgspec.Meta(min_length=3, max_length=LONGEST["email"])]
    name: Annotated[str, msgspec.Meta(max_length=LONGEST["name"])] = ""
    address: Annotated[str, msgspec.Meta(max_length=LONGEST["address"])] = ""
    another_company: bool = False
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


def issue(
    secret: str,
    purpose: Purpose,
    email: str,
    *,
    now: datetime,
    name: str = "",
    address: str = "",
    another_company: bool = False,
) -> str:
    """Return the token of a new link; raises LinkError if `read` would refuse it."""
    life = CONNECT_LIFE if purpose == "connect" else VIEW_LIFE
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "purpose": purpose,
        "sub": email.strip(),
        "name": name.strip(),
        "address": address.strip(),
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
        "jti": secrets.token_urlsafe(16),
    }
    if another_company:
        claims["another_company"] = True
    _link(claims, purpose, now)
    token = jwt.encode({"alg": _ALGORITHM}, claims, _key(secret), algorithms=[_ALGORITHM])
    if len(token) > _MAX_TOKEN:
        raise LinkError("name and address together are too long for a link")
    return token


def read(token: str, purpose: Purpose, secret: str, now: datetime) -> Link:
    """Return the link's claims; raises LinkExpired, or LinkError if it never was valid."""
    return _link(_signed(token, secret, "link"), purpose, now)


def open_api(token: str, secret: str, now: datetime) -> None:
    """Raise LinkExpired, or LinkError, unless this token opens the API now."""
    raw = _signed(token, secret, "token")
    _checked(raw, _Claims, API_PURPOSE, now, "token", LONGEST_API_LIFE)


def _signed(token: str, secret: str, noun: str) -> dict[str, Any]:
    """Return what the token says, once its signature is verified."""
    if not token or len(token) > _MAX_TOKEN:
        raise LinkError(f"this is not a {noun} of ours")
    try:
        claims: dict[str, Any] = jwt.decode(token, _key(secret), algorithms=[_ALGORITHM]).claims
    except Exception:
        # Without the cause, which may repeat the token.
        raise LinkError(f"this {noun} was not made by Infactor, or was cut short") from None
    return claims


def is_address(text: str) -> bool:
    """Return whether this is one e-mail address that a link can be for."""
    return text.isascii() and mapping.addresses(text) == (text,)


def connect_url(public_url: str, token: str) -> str:
    return f"{public_url}{CONNECT_PATH}?{urlencode({'token': token})}"


def view_url(public_url: str, token: str) -> str:
    return f"{public_url}{VIEW_PATH}?{urlencode({'token': token})}"


def _key(secret: str) -> OctKey:
    return OctKey.import_key(secret)


def _link(raw: dict[str, Any], purpose: Purpose, now: datetime) -> Link:
    claims = _checked(raw, _LinkClaims, purpose, now, "link", LONGEST_LIFE)
    if not is_address(claims.sub):
        raise LinkError("this link names no valid e-mail address")
    if not all(map(is_showable, (claims.name, claims.address, claims.jti))):
        raise LinkError("this link contains characters that cannot be shown")
    return Link(
        purpose=purpose,
        email=claims.sub,
        name=claims.name.strip(),
        address=claims.address.strip(),
        another_company=claims.another_company,
        id=f"{claims.sub}:{claims.jti}",
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
    )


_C = TypeVar("_C", bound=_Claims)


def _checked(
    raw: dict[str, Any], kind: type[_C], purpose: str, now: datetime, noun: str, longest: timedelta
) -> _C:
    try:
        claims = msgspec.convert(raw, kind)
    except msgspec.ValidationError as e:
        raise LinkError(f"this {noun} is incomplete or malformed: {e}") from None
    audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
    if claims.iss != ISSUER or AUDIENCE not in audience:
        raise LinkError(f"this {noun} is meant for another service")
    if claims.purpose != purpose:
        raise LinkError(f"this {noun} is not made to {_TO.get(purpose, purpose)}")
    _check_times(claims, int(now.timestamp()), noun, longest)
    return claims


_TO = {API_PURPOSE: "open the API"}


def _check_times(claims: _Claims, now: int, noun: str, longest: timedelta) -> None:
    if claims.exp <= now:
        raise LinkExpired(f"this {noun} has expired")
    if claims.exp > now + longest.total_seconds():
        raise LinkError(f"this {noun} is good for more than {_span(longest)}")
    if max(claims.iat, claims.nbf) > now + _CLOCK_SKEW:
        raise LinkError(f"this {noun} is not good yet")


def _span(longest: timedelta) -> str:
    return f"{longest.days} days" if longest.days else f"{longest.seconds // 60} minutes"
