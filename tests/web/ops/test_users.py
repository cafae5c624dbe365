"""OPS_USERS: its entries, and the hashes of passwords in them."""

import re

import pytest

from service.config.loading import settings_from
from service.errors import ConfigurationError
from service.kit import passwords
from tests.web.conftest import settings_of
from tests.web.ops.operators import PASSWORD, entry


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("ada", "entry 1 has no hash after its colon"),
        (":scrypt", "entry 1 has no name of lower-case letters"),
        ("Ada:x", "entry 1 has no name of lower-case letters"),
        ("ada:scrypt.16.8.1.c2FsdHNhbHRzYWx0c2FsdA.x", "entry 1 has no hash after its colon"),
        ("ada:$2b$12$zq", "entry 1 has no hash after its colon"),
        (f"{entry('ada')},{entry('ada', 'other password')}", "entry 2 has the name of an earlier"),
    ],
)
def test_a_wrong_entry_is_told_without_its_value(value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from({**settings_of("http://127.0.0.1:1", "sqlite:///x.db"), "OPS_USERS": value})
    assert str(refused.value).startswith(f"OPS_USERS: {problem}")
    assert "scrypt" not in str(refused.value)


def test_a_hash_has_no_character_that_a_file_of_settings_would_change() -> None:
    made = passwords.hashed(PASSWORD)
    assert re.fullmatch(r"scrypt\.32768\.8\.1\.[\w-]{22}\.[\w-]{43}", made)
    assert passwords.fits(PASSWORD, made)
    assert not passwords.fits(PASSWORD + "x", made)
    assert passwords.hashed(PASSWORD) != made


@pytest.mark.parametrize(
    "text",
    [
        "scrypt.8192.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32769.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.1048576.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32768.8.9.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43,
        "scrypt.32768.8.1.c2FsdA." + "A" * 43,
    ],
)
def test_a_hash_that_is_too_cheap_or_too_dear_is_none(text: str) -> None:
    assert not passwords.is_hash(text)


def test_the_dearest_hash_can_be_looked_at() -> None:
    dearest = "scrypt.131072.8.1.c2FsdHNhbHRzYWx0c2FsdA." + "A" * 43
    assert passwords.is_hash(dearest)
    assert not passwords.fits("wrong", dearest)
