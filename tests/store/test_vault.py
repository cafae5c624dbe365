"""Sealing: what the database alone does not open."""

import pytest

from service.domain import realm_id_of
from service.errors import ConfigurationError
from service.kit.vault import Vault

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = "s" * 40


def test_what_was_sealed_opens_for_its_row() -> None:
    vault = Vault([NEW], SECRET)
    sealed = vault.seal("AB11token", "c1")
    assert vault.open(sealed, "c1") == "AB11token"
    assert "AB11token" not in sealed


def test_the_same_text_is_never_sealed_the_same() -> None:
    vault = Vault([NEW], SECRET)
    assert vault.seal("token", "c1") != vault.seal("token", "c1")


def test_another_rows_value_does_not_open() -> None:
    vault = Vault([NEW], SECRET)
    with pytest.raises(ConfigurationError, match="does not belong to its row"):
        vault.open(vault.seal("token", "c1"), "c2")


@pytest.mark.parametrize(
    "damage", ["AAAA", "!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
)
def test_a_damaged_value_does_not_open(damage: str) -> None:
    vault = Vault([NEW], SECRET)
    key_id = vault.seal("token", "c1").partition(".")[0]
    with pytest.raises(ConfigurationError, match="does not belong to its row"):
        vault.open(f"{key_id}.{damage}", "c1")


def test_the_first_key_seals_and_all_of_them_open() -> None:
    before, both, after = (Vault(keys, SECRET) for keys in ([OLD], [NEW, OLD], [NEW]))
    assert both.open(before.seal("old", "c1"), "c1") == "old"
    assert after.open(both.seal("new", "c1"), "c1") == "new"


def test_a_missing_key_names_the_setting_and_shows_no_secret() -> None:
    sealed = Vault([OLD], SECRET).seal("token", "c1")
    with pytest.raises(ConfigurationError, match=r"^ENCRYPTION_KEYS: ") as caught:
        Vault([NEW], SECRET).open(sealed, "c1")
    assert "token" not in str(caught.value)
    assert "nnnn" not in str(caught.value)


def test_a_digest_is_the_same_for_ever() -> None:
    """Companies are found by it: another value would orphan every connection."""
    digest = Vault([NEW], SECRET).digest("9341455000000001")
    assert digest == "16251072597eab52ed6420c5b36d199b2478b9a967dd545e295d3d95fbd44909"


def test_a_digest_depends_on_the_secret_key_alone() -> None:
    digest = Vault([NEW], SECRET).digest("9341455000000001")
    assert Vault([OLD], SECRET).digest("9341455000000001") == digest
    assert Vault([NEW], "t" * 40).digest("9341455000000001") != digest


def test_a_vault_shows_no_key() -> None:
    assert repr(Vault([NEW, OLD], SECRET)) == "Vault(2 keys)"


@pytest.mark.parametrize(
    ("written", "realm_id"),
    [
        ("9341455000000001", "9341455000000001"),
        ("009341455000000001", "9341455000000001"),
        ("\t9341455000000001\u00a0", "9341455000000001"),
        ("1" * 20, "1" * 20),
        ("0" + "1" * 20, "1" * 20),
        ("1" * 21, None),
        ("", None),
        ("0", None),
        ("-1", None),
        ("1 2", None),
        ("1_2", None),
        ("1.0", None),
        ("1e3", None),
        ("\u0663\u0661", None),
        ("\uff11\uff12", None),
        ("1\u00b2", None),
        ("1\x00", None),
    ],
)
def test_a_company_has_one_spelling_or_none(written: str, realm_id: str | None) -> None:
    assert realm_id_of(written) == realm_id
