"""Links: what is accepted, what is refused, and what the command line prints."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from typer.testing import CliRunner

from service import links
from service.errors import LinkError
from service.links import LinkExpired
from tests.web.conftest import settings_of

SECRET = "a shared secret of more than 32 characters"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())


def signed(header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token with these claims changed, None leaving one out, as Infactor signs it."""
    claims = {
        "iss": "infactor",
        "aud": "infactor-quickbooks",
        "purpose": "connect",
        "sub": "supplier@example.com",
        "name": "Example Supplies",
        "address": "1 Main Street",
        "iat": STAMP,
        "exp": STAMP + 3600,
        "jti": "link-1",
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    header = header or {"alg": "HS256"}
    key = OctKey.import_key(SECRET)
    return jwt.encode(header, claims, key, algorithms=["HS256", "HS512"])


def read(token: str, purpose: links.Purpose = "connect") -> links.Link:
    return links.read(token, purpose, SECRET, NOW)


def test_a_link_says_what_was_put_into_it() -> None:
    token = links.issue(
        SECRET, "connect", "s@example.com", now=NOW, name="S", address="A", another_company=True
    )
    link = read(token)
    assert (link.email, link.name, link.address) == ("s@example.com", "S", "A")
    assert link.another_company is True
    assert link.expires_at == NOW + timedelta(days=7)
    assert len(link.id) >= 20
    assert link.id != read(links.issue(SECRET, "connect", "s@example.com", now=NOW)).id


def test_a_link_of_infactors_own_server_is_read() -> None:
    link = read(signed())
    assert (link.name, link.address, link.another_company) == (
        "Example Supplies",
        "1 Main Street",
        False,
    )
    assert read(signed(aud=["other", "infactor-quickbooks"])).id == "supplier@example.com:link-1"
    assert read(signed(name=None, address=None)).name == ""
    assert (
        read(signed(iat=STAMP + 60)).id == "supplier@example.com:link-1"
    )  # its clock is a minute ahead


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"aud": []},
        {"purpose": "view"},
        {"purpose": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "no address"},
        {"sub": "a@example.com,b@example.com"},
        {"sub": "<a@example.com>"},
        {"sub": "supplier@\N{KELVIN SIGN}.example.com"},
        {"sub": "\N{KELVIN SIGN}ate@example.com"},
        {"sub": "a@example.com\n"},
        {"sub": "a" * 320 + "@example.com"},
        {"sub": 7},
        {"name": "x" * 201},
        {"name": ["x"]},
        {"name": "two\nlines"},
        {"name": "\u202egnp.exe"},
        {"name": "nul\0"},
        {"address": "x" * 501},
        {"address": "\x1b[31m"},
        {"another_company": "yes"},
        {"another_company": 1},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"exp": STAMP + 31 * 24 * 3600},
        {"exp": 10**400},
        {"nbf": STAMP + 3600},
        {"iat": STAMP + 3600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 65},
        {"jti": 5},
    ],
    ids=str,
)
def test_a_link_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LinkError):
        read(signed(**changes))


def test_a_link_of_yesterday_is_told_apart_from_a_wrong_one() -> None:
    with pytest.raises(LinkExpired):
        read(signed(exp=STAMP))
    with pytest.raises(LinkError) as wrong:
        links.read(signed(exp=STAMP), "connect", "another secret of 32 characters and more", NOW)
    assert not isinstance(wrong.value, LinkExpired)


def test_a_link_signed_in_another_way_is_refused() -> None:
    with pytest.raises(LinkError):
        read(signed({"alg": "HS512"}))
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    with pytest.raises(LinkError):
        read(f"{unsigned}.{signed().split('.')[1]}.")


def test_a_link_that_was_tampered_with_is_refused() -> None:
    head, body, signature = signed().split(".")
    other = signed(sub="thief@example.com").split(".")[1]
    for token in (f"{head}.{other}.{signature}", f"{head}.{body}.", f"{head}.{body}", "", "\ud800"):
        with pytest.raises(LinkError):
            read(token)


def test_what_is_wrong_with_a_link_is_told_without_repeating_it() -> None:
    with pytest.raises(LinkError) as e:
        read(signed(sub="somebody@example.com" * 30))
    assert "somebody" not in str(e.value)
    assert e.value.__cause__ is None


def test_a_link_that_would_be_refused_is_not_issued() -> None:
    with pytest.raises(LinkError, match="no valid e-mail address"):
        links.issue(SECRET, "connect", "not an address", now=NOW)
    with pytest.raises(LinkError, match="cannot be shown"):
        links.issue(SECRET, "connect", "a@example.com", now=NOW, name="a\tb")


class TestCommands:
    @pytest.fixture(autouse=True)
    def _environment(
        self, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name, value in settings_of("http://127.0.0.1:1", sqlite_url).items():
            monkeypatch.setenv(name, value)

    def run(self, *arguments: str):
        from service.cli.main import app

        return CliRunner().invoke(app, arguments)

    def test_connect_url_prints_the_address_and_nothing_else(self) -> None:
        result = self.run(
            "connect-url", "supplier@example.com", "--name", "Example Supplies", "--address", "A"
        )
        assert result.exit_code == 0
        base, token = result.stdout.removesuffix("\n").split("?token=")
        assert base == "http://localhost:3000/quickbook/authorise"
        link = links.read(token, "connect", "i" * 40, datetime.now(UTC))
        assert (link.email, link.name, link.address) == (
            "supplier@example.com",
            "Example Supplies",
            "A",
        )
        assert link.another_company is False
        assert "7 days" in result.stderr

    def test_connect_url_hints_at_a_missing_name(self) -> None:
        result = self.run("connect-url", "supplier@example.com", "--another-company")
        assert "consider --name" in result.stderr
        token = result.stdout.strip().split("?token=")[1]
        assert links.read(token, "connect", "i" * 40, datetime.now(UTC)).another_company is True

    def test_supplier_url_prints_a_view_link(self) -> None:
        result = self.run("supplier-url", "supplier@example.com")
        assert result.exit_code == 0
        base, token = result.stdout.removesuffix("\n").split("?token=")
        assert base == "http://localhost:3000/quickbook/view"
        assert (
            links.read(token, "view", "i" * 40, datetime.now(UTC)).email == "supplier@example.com"
        )
        assert "no link yet" in result.stderr

    def test_a_wrong_address_is_told_without_a_traceback(self) -> None:
        result = self.run("connect-url", "nonsense")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("EMAIL: is not an e-mail address")
