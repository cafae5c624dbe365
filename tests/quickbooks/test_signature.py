"""Intuit's signature, against the vector of the protocol reference (1.4)."""

import pytest

from service.quickbooks.webhooks import sign, verify

TOKEN = "sim-verifier-token-0001"
BODY = (
    b'[{"specversion":"1.0","id":"7b1d9f0e-3c55-4c0a-9f3a-5a1f0c6f2d11-Invoice-145",'
    b'"source":"intuit.c2ltdWxhdG9yLXNvdXJjZS1oYXNoLTAwMDAwMDAwMDA=",'
    b'"type":"qbo.invoice.updated.v1","time":"2026-10-01T16:19:17Z",'
    b'"intuitentityid":"145","intuitaccountid":"9341455000000001"}]'
)
SIGNATURE = "UriwoOqsyGRFa8K1WL4h3m7z+F21DiAiHr4NbdAztSk="


def test_the_signature_of_the_reference_is_made() -> None:
    assert len(BODY) == 264
    assert sign(BODY, TOKEN) == SIGNATURE


@pytest.mark.parametrize(
    "tokens", [[TOKEN], ["another", TOKEN], [TOKEN, "another"], ["", TOKEN]], ids=str
)
def test_any_of_several_tokens_may_have_signed(tokens: list[str]) -> None:
    assert verify(BODY, SIGNATURE, tokens) is True


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        " ",
        "rubbish",
        "é",
        "\udcff",
        "\x00",
        SIGNATURE[:-1],
        SIGNATURE.lower(),
        SIGNATURE + SIGNATURE,
        "A" * 100_000,
    ],
)
def test_anything_but_the_signature_is_refused(signature: str | None) -> None:
    assert verify(BODY, signature, [TOKEN]) is False


def test_a_changed_body_is_refused() -> None:
    assert verify(BODY + b" ", SIGNATURE, [TOKEN]) is False


def test_without_tokens_nothing_is_accepted() -> None:
    assert verify(BODY, SIGNATURE, []) is False


def test_an_empty_token_accepts_nothing_although_anybody_could_sign_with_it() -> None:
    assert verify(BODY, sign(BODY, ""), [""]) is False


def test_a_token_beyond_ascii_signs_as_utf_8() -> None:
    assert sign(b"body", "clé") == "AhMGtAoUbdJZL2kH82ZOZA76LVBjiDeYDhSG8df+1OM="
    assert verify(b"body", sign(b"body", "clé"), ["clé"]) is True
