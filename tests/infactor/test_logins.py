"""Who is logged in to Infactor: its cookie, and the sessions in its database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from pymongo.database import Database

from service.infactor.logins import Logins, session_id
from service.infactor.mongo import InfactorDatabase
from tests.people import OTHER_ID, SESSION_SECRET, SID, SIGNED, SUPPLIER_ID, log_in

NOW = datetime.now(UTC)
OPERATOR = {"$ne": None}


class TestCookie:
    def test_the_id_of_a_signed_cookie(self) -> None:
        for sid, cookie in SIGNED.items():
            assert session_id(f"a=b; connect.sid={cookie}; c", SESSION_SECRET) == sid
            assert session_id(f"connect.sid={cookie}; connect.sid={cookie}", SESSION_SECRET) == sid

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "connect.sid",
            "connect.sid=",
            "connect.sid=s%3A",
            "connect.sid=s%3A.",
            f"connect.sid={SIGNED[SID][:-1]}",
            f"connect.sid={SIGNED[SID]}%3D",
            f"connect.sid={SIGNED[SID].removeprefix('s%3A')}",
            f"connect.sid={SIGNED[SID].replace('Zq3', 'Zq4')}",
            f"connect.sid={SIGNED[SID].partition('.')[0]}",
            f"connect.sid={SIGNED[SID].partition('.')[0]}.",
            f"connect.sid={SIGNED[SID]}; connect.sid={SIGNED['A' * 32]}",
            f"Connect.Sid={SIGNED[SID]}",
            f"connect.sid=s%3A%FF%00.{'x' * 43}",
            f"connect.sid={'s' * 5000}",
            "connect.sid=s%3A\u00ff.\u00ff",
        ],
    )
    def test_any_other_names_nobody(self, header: str) -> None:
        assert session_id(header, SESSION_SECRET) is None

    def test_another_secret_or_none_opens_nothing(self) -> None:
        assert session_id(f"connect.sid={SIGNED[SID]}", "another secret") is None
        # Signed with nothing, as anybody can.
        empty = "s%3AAAAA.0rvIHS028bAgvAeckftTISdNKVX6culC6UEvYQiV%2FNc"
        assert session_id(f"connect.sid={empty}", "") is None


class TestLogins:
    def test_the_user_of_a_living_session(
        self, opened: InfactorDatabase, infactors: Database[dict[str, Any]]
    ) -> None:
        log_in(infactors)
        log_in(infactors, "B" * 32, OTHER_ID)
        assert Logins(opened).user_id(SID, NOW) == "5c8f2b1e9d3a4f0012ab34c1"
        assert Logins(opened).user_id("B" * 32, NOW) == "5c8f2b1e9d3a4f0012ab34c2"
        assert Logins(opened).user_id("A" * 32, NOW) is None
        assert Logins(opened).user_id(SID, NOW + timedelta(hours=3)) is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"data": '{"cookie":{},"passport":{"user":"5c8f2b1e9d3a4f0012ab34c1"}}'},
            {"data": None, "session": {"passport": {"user": "5c8f2b1e9d3a4f0012ab34c1"}}},
            {
                "sid": None,
                "_id": SID,
                "data": None,
                "session": '{"passport":{"user":"5c8f2b1e9d3a4f0012ab34c1"}}',
            },
        ],
        ids=str,
    )
    def test_other_session_stores_are_read_too(
        self,
        opened: InfactorDatabase,
        infactors: Database[dict[str, Any]],
        fields: dict[str, Any],
    ) -> None:
        log_in(infactors, **fields)
        assert Logins(opened).user_id(SID, NOW) == "5c8f2b1e9d3a4f0012ab34c1"

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"expires": NOW - timedelta(seconds=1)}, id="expired"),
            {"expires": None},
            {"expires": "2999-01-01T00:00:00Z"},
            {"expires": 32503680000000},
            {"expires": OPERATOR},
            {"expires": bson.datetime_ms.DatetimeMS(2**62)},
            {"data": {}},
            {"data": {"cookie": {}}},
            {"data": {"passport": {}}},
            {"data": {"passport": "5c8f2b1e9d3a4f0012ab34c1"}},
            {"data": {"passport": {"user": OPERATOR}}},
            {"data": {"passport": {"user": SUPPLIER_ID}}},
            {"data": {"passport": {"user": "5c8f2b1e9d3a4f0012ab34c1\0"}}},
            {"data": {"passport": {"user": ""}}},
            {"data": "no json"},
            {"data": '{"passport":' * 10_000},
            {"data": '{"a":' + "[" * 100_000},
            {"data": b"{}"},
            {"data": [{"passport": {"user": "5c8f2b1e9d3a4f0012ab34c1"}}]},
        ],
        ids=lambda fields: str(fields)[:60],
    )
    def test_any_other_session_is_nobodys(
        self,
        opened: InfactorDatabase,
        infactors: Database[dict[str, Any]],
        fields: dict[str, Any],
    ) -> None:
        log_in(infactors, **fields)
        assert Logins(opened).user_id(SID, NOW) is None
