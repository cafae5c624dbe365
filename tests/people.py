"""People of Infactor, as its own server writes them, and how it knows their browsers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

SESSION_SECRET = "a session secret of the tests"
# Ids of sessions with their cookies, as express-session writes them; the signatures were made with
# SESSION_SECRET by node: encodeURIComponent(crypto.createHmac("sha256", secret).update(sid)
# .digest("base64").replace(/=+$/, "")).
SIGNED = {
    "Zq3-u8_XlB5kQmT0vN2yRw7EcJ9hLdAs": (
        "s%3AZq3-u8_XlB5kQmT0vN2yRw7EcJ9hLdAs.LNCcrr4uDCuxP%2BDjUPhkDsOQzUC7vx2oTE4Qw0InN%2FY"
    ),
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": (
        "s%3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.apV3drqATNE%2FXDV%2B9sN4PNL1TC%2BRfpadoFHieYXGGqE"
    ),
    "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB": (
        "s%3ABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB.dlCaBdzsGnsNLGHZqlK6Ve%2Fd2AecSaso8yg7k8fd4ww"
    ),
}
SID, OTHER_SID, THIRD_SID = SIGNED

SUPPLIER_ID = ObjectId("5c8f2b1e9d3a4f0012ab34c1")
OTHER_ID = ObjectId("5c8f2b1e9d3a4f0012ab34c2")


def add_user(infactors: Database[dict[str, Any]], **fields: Any) -> ObjectId:
    """Store a verified supplier as Infactor's sign-up does, with these changes."""
    user = {
        "_id": SUPPLIER_ID,
        "email": "supplier@example.com",
        "firstName": "Sue",
        "lastName": "Pliers",
        "address": "local",
        "type": "Supplier",
        "accountStatus": "verified",
        "contactNo": "123",
        "password": "$2a$08$hash",
        "phrase": "plain-password",
        **fields,
    }
    infactors["users"].insert_one(user)
    return user["_id"]


def log_in(
    infactors: Database[dict[str, Any]], sid: str = SID, user: ObjectId = SUPPLIER_ID, **fields: Any
) -> None:
    """Store a session as npm's express-sessions does, with these changes."""
    at = datetime.now(UTC)
    session = {
        "sid": sid,
        "data": {
            "cookie": {"originalMaxAge": 7200000, "httpOnly": True, "path": "/"},
            "passport": {"user": str(user)},
        },
        "lastAccess": at,
        "expires": at + timedelta(hours=2),
        **fields,
    }
    infactors["sessions"].insert_one({k: v for k, v in session.items() if v is not None})
