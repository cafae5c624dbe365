"""Whatever a client sends, it is answered as the OpenAPI document says; Schemathesis makes both up.

The examples are the same in every run, so that a failure can be repeated.
"""

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.api.conftest import Api, claims, signed

FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=10,
    phases=[Phase.generate],  # what fails is small enough
    suppress_health_check=list(HealthCheck),
)
NO_ZEROS = SchemathesisConfig.from_dict({"generation": {"allow-x00": False}})
CHECKS: list[CheckFunction] = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance, negative_data_rejection),
]


class Client:
    """Sends what was made up, with a good token; `test_access` says what becomes of others."""

    def __init__(self, api: Api) -> None:
        self._browser = api.place.browser()
        self.statuses: dict[str, set[int]] = {}

    def send(self, case: Case) -> None:
        if case.meta and case.meta.generation.mode == GenerationMode.POSITIVE:
            case.query.pop("after", None)  # what the document cannot describe: a cursor of ours
        made = case.as_transport_kwargs(base_url="http://localhost:3000")
        made["content"], _ = made.pop("data", None), made.pop("cookies", None)
        # A new one each time: a slow machine takes longer than one is good for.
        self._browser.headers["Authorization"] = f"Bearer {signed(claims())}"
        answer = self._browser.request(**made)
        self.statuses.setdefault(case.operation.label, set()).add(answer.status_code)
        also = [positive_data_acceptance] if case.method == "GET" else []
        case.validate_response(answer, checks=[*CHECKS, *also])


def test_any_call_is_answered_as_the_document_says(api: Api, company: str) -> None:
    client = Client(api)
    known = {"/connections/{id}": company, "/invoices/{id}": api.place.invoice_id("1")}
    document = {name: part for name, part in api.document.items() if name != "security"}
    described = schemathesis.openapi.from_dict(document, config=NO_ZEROS)
    for found in described.get_all_operations():
        operation = found.ok()
        path = operation.path.removeprefix("/api/v1")
        fixed = {"path_parameters": {"id": known[path]}} if path in known else {}
        made = operation.as_strategy(GenerationMode.POSITIVE, **fixed)
        for cases in (made, operation.as_strategy(GenerationMode.NEGATIVE)):
            FEW(given(case=cases)(client.send))()
    assert len(client.statuses) == 8
    for statuses in client.statuses.values():  # it reached what there is, and what there is not
        assert statuses & {200, 201}
        assert statuses & {400, 404}
