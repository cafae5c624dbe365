"""The person behind a consent, and the id tokens that tell about them."""

from datetime import datetime, timedelta
from functools import cached_property

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


class OpenId:
    """Signs id tokens with a key that is made when the first one is wanted."""

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
        """Return the public keys."""
        return {"keys": [self._key.as_dict(private=False)]}
