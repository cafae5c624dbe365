"""Authorisations: codes, access tokens, refresh tokens and id tokens, and their ends."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256

from joserfc import jwt
from joserfc.jwk import RSAKey

from service.simulator.records import Json

LIFE = timedelta(hours=1)
KEY_ID = "simulator-1"
SUBJECT = "5f4b0a2e-7d0b-4a52-9c53-simulated-user"
CLAIMS: dict[str, Json] = {
    "email": {"email": "amelia.okafor@example.com", "emailVerified": True},
    "profile": {"givenName": "Amelia", "familyName": "Okafor"},
    "phone": {"phoneNumber": "+1 5555551000", "phoneNumberVerified": False},
    "address": {
        "address": {
            "streetAddress": "1820 Dock Street",
            "locality": "Oakland",
            "region": "CA",
            "postalCode": "94607",
            "country": "US",
        }
    },
}

CODE_LIFE = timedelta(minutes=10)
ACCESS_LIFE = timedelta(seconds=3600)
ROTATES_AFTER = timedelta(hours=24)
IDLE_END = timedelta(seconds=8726400)
HARD_END = timedelta(seconds=157680000)
ACCOUNTING = "com.intuit.quickbooks.accounting"


class InvalidGrant(Exception):
    """An invalid code or refresh token; the text is Intuit's error_description."""


@dataclass
class Code:
    """An authorisation code: valid once, for ten minutes, with the same redirect."""

    realm: str
    redirect_uri: str
    scope: str
    expires: datetime
    challenge: str | None  # of PKCE with S256 (RFC 7636)

    def takes(self, verifier: str) -> bool:
        """Tell whether the app that asked for the code is the one that brings it."""
        if self.challenge is None:
            return True
        digest = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
        return secrets.compare_digest(digest, self.challenge.encode())


@dataclass
class Grant:
    """One consent, and the chain of its tokens."""

    realm: str
    scope: str
    begun: datetime
    refresh_token: str
    issued: datetime
    used: datetime
    superseded: dict[str, datetime] = field(default_factory=dict)
    refreshed: datetime | None = None
    refreshing: int = 0
    doomed: bool = False

    @property
    def hard_end(self) -> datetime:
        return self.begun + HARD_END

    def alive(self, now: datetime) -> bool:
        """Return whether the refresh token is still valid."""
        return now < self.hard_end and now < self.used + IDLE_END


@dataclass
class Access:
    grant: Grant
    expires: datetime


class Grants:
    """All authorisations of the app; the caller holds the simulator's lock."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self._spent: dict[str, Grant] = {}
        self._access: dict[str, Access] = {}
        self._grants: list[Grant] = []

    def new_code(
        self, realm: str, redirect_uri: str, scope: str, now: datetime, challenge: str | None = None
    ) -> str:
        code = "AB1" + secrets.token_urlsafe(32)
        self._codes[code] = Code(realm, redirect_uri, scope, now + CODE_LIFE, challenge)
        return code

    def exchange(
        self,
        code: str,
        redirect_uri: str,
        now: datetime,
        verifier: str = "",
        *,
        second_revokes: bool = False,
    ) -> tuple[str, Grant]:
        """Return an access token and the new grant; the code is spent in any case.

        With `second_revokes`, a code that comes again ends the tokens it was exchanged for.
        """
        found = self._codes.pop(code, None)
        if second_revokes and code in self._spent:
            self._end(self._spent.pop(code))
        if (
            found is None
            or found.redirect_uri != redirect_uri
            or now >= found.expires
            or not found.takes(verifier)
        ):
            raise InvalidGrant("Invalid authorization code")
        grant = Grant(found.realm, found.scope, now, _refresh_token(), now, now)
        self._grants.append(grant)
        self._spent[code] = grant
        return self._new_access(grant, now), grant

    def refresh(self, token: str, now: datetime, grace: float = 0) -> tuple[str, Grant]:
        """Return a new access token and the grant, whose refresh token rotates after a day."""
        grant = self._by_refresh(token, now)
        if grant is None or not grant.alive(now):
            raise InvalidGrant("Token invalid")
        if now >= grant.issued + ROTATES_AFTER:
            grant.superseded[grant.refresh_token] = now + timedelta(seconds=grace)
            grant.refresh_token, grant.issued = _refresh_token(), now
        grant.used = grant.refreshed = now
        return self._new_access(grant, now), grant

    @contextmanager
    def refreshing(self, token: str, now: datetime, within: float) -> Iterator[bool]:
        """Count a refresh during the block; give whether it races an earlier one, which wins."""
        grant = next((g for g in self._grants if token in (g.refresh_token, *g.superseded)), None)
        if grant is None:
            yield False
            return
        recent = grant.refreshed and now < grant.refreshed + timedelta(seconds=within)
        racing = grant.refreshing > 0 or bool(recent)
        grant.refreshing += 1
        try:
            yield racing
        finally:
            grant.refreshing -= 1
            if grant.doomed and not grant.refreshing:
                self._end(grant)

    def doom(self, token: str) -> None:
        """Make the winner of the race for this token end up with tokens that open nothing."""
        for grant in self._grants:
            grant.doomed = grant.doomed or token in (grant.refresh_token, *grant.superseded)

    def opened_by(self, token: str, now: datetime) -> Grant | None:
        """Return the grant of a valid access token."""
        access = self._access.get(token)
        return access.grant if access and now < access.expires else None

    def realm_of(self, token: str) -> str | None:
        """Return the company that a token belongs or belonged to."""
        access = self._access.get(token)
        if access:
            return access.grant.realm
        chains = ((g, (g.refresh_token, *g.superseded)) for g in self._grants)
        return next((g.realm for g, chain in chains if token in chain), None)

    def revoke(self, token: str) -> bool:
        """Disconnect the token's company; return False for an unknown token."""
        realm = self.realm_of(token)
        return realm is not None and self.disconnect(realm)

    def disconnect(self, realm: str) -> bool:
        """End all tokens of this company; return whether there were any."""
        before = len(self._grants)
        self._grants = [g for g in self._grants if g.realm != realm]
        self._access = {t: a for t, a in self._access.items() if a.grant.realm != realm}
        return len(self._grants) < before

    def connected(self, realm: str, now: datetime) -> bool:
        return any(g.realm == realm and g.alive(now) for g in self._grants)

    def _end(self, grant: Grant) -> None:
        self._grants = [g for g in self._grants if g is not grant]
        self._access = {t: a for t, a in self._access.items() if a.grant is not grant}

    def _by_refresh(self, token: str, now: datetime) -> Grant | None:
        for grant in self._grants:
            if token == grant.refresh_token:
                return grant
            if token in grant.superseded and now < grant.superseded[token]:
                return grant
        return None

    def _new_access(self, grant: Grant, now: datetime) -> str:
        token = "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0.." + secrets.token_urlsafe(48)
        self._access = {t: a for t, a in self._access.items() if now < a.expires}
        self._access[token] = Access(grant, now + ACCESS_LIFE)
        return token


def _refresh_token() -> str:
    return "AB11" + secrets.token_hex(23)


class OpenId:
    """Signs id tokens with a key that is made at the first use."""

    @cached_property
    def _key(self) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": KEY_ID, "use": "sig", "alg": "RS256"})

    def id_token(self, issuer: str, client_id: str, realm: str, now: datetime) -> str:
        """Return a signed token about the person; its audience is a list, as Intuit's is."""
        begun = int(now.timestamp())
        claims = {
            "sub": SUBJECT,
            "aud": [client_id],
            "realmid": realm,
            "auth_time": begun,
            "iss": issuer,
            "exp": begun + int(LIFE.total_seconds()),
            "iat": begun,
        }
        return jwt.encode({"kid": KEY_ID, "alg": "RS256"}, claims, self._key)

    def keys(self) -> Json:
        return {"keys": [self._key.as_dict(private=False)]}
