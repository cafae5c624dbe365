"""Infactor's own server, as a client that signs its tokens by itself and checks every answer."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from service.kit.clock import now
from tests.web.conftest import SECRET, Place


def signed(claims: dict[str, Any], *, secret: str = SECRET, alg: str = "HS256") -> str:
    """Return the JWT of these claims, made without a library."""
    parts = [_text(json.dumps(one).encode()) for one in ({"alg": alg, "typ": "JWT"}, claims)]
    digest = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _text(digest)])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def claims(**others: Any) -> dict[str, Any]:
    """Return the claims of a token of the API, with these changes."""
    at = int(now().timestamp())
    good = {"iss": "infactor", "aud": "infactor-quickbooks", "purpose": "api"}
    return {**good, "iat": at, "exp": at + 60, **others}


@dataclass
class Api:
    """Calls the API; each answer is held against the OpenAPI document that is served there."""

    place: Place
    token: str = ""
    statuses: set[int] = field(default_factory=set)

    @cached_property
    def document(self) -> dict[str, Any]:
        answer = self.place.browser().get("/api/v1/openapi.json")
        assert answer.status_code == 200
        return answer.json()

    def get(self, path: str, **query: Any) -> httpx.Response:
        """Ask for this path below /api/v1."""
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.call("POST", path, json=body)

    def call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token or signed(claims())}"}
        headers |= rest.pop("headers", {})
        answer = self.place.browser().request(method, f"/api/v1{path}", headers=headers, **rest)
        self.check(method, f"/api/v1{path}", answer)
        return answer

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Hold the answer against its schema; what has none there must be a problem."""
        kind = answer.headers["content-type"]
        assert kind == ("application/json" if answer.is_success else "application/problem+json")
        operation = self._operation(method, path)
        if operation is None:
            schema = {"$ref": "#/components/schemas/ProblemDetails"}
        else:
            described = operation["responses"][str(answer.status_code)]
            schema = described["content"][kind]["schema"]
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=FormatChecker()).validate(answer.json())

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for known, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path):
                return operations.get(method.lower())
        return None

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Return what all pages together have, and check that each but the last is full."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, **query).json()
            found += page["items"]
            if page["next"] is None:
                return found
            assert len(page["items"]) == query.get("limit", 50)
            query["after"] = page["next"]


@pytest.fixture
def more_settings() -> dict[str, str]:
    """The API is on."""
    return {"INFACTOR_API": "on"}


@pytest.fixture
def api(place: Place) -> Api:
    """Infactor's own server."""
    return Api(place)
