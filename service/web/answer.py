"""What QuickBooks' redirect says, as it came in with the browser: nothing to be trusted yet."""

import re
from dataclasses import dataclass, field

from starlette.datastructures import QueryParams

from service.web.problems import ConnectProblem, Problem

_REALM_ID = re.compile(r"[0-9]{1,20}")
_MAX_CODE = 512  # reference 2.2

_ERRORS = {
    "access_denied": Problem.DENIED,
    "server_error": Problem.UNWELL,
    "temporarily_unavailable": Problem.UNWELL,
}
_NAMED_IN_THE_LOG = frozenset({"invalid_scope", "invalid_request", "app_already_purchased"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The parameters of the OAuth callback."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    realm_id: str = field(repr=False)
    error: str

    @classmethod
    def of(cls, query: QueryParams) -> "Answer":
        """Return what the address says; what it does not say is empty."""
        return cls(
            state=query.get("state", ""),
            code=query.get("code", ""),
            realm_id=query.get("realmId", ""),
            error=query.get("error", ""),
        )


def checked(answer: Answer) -> tuple[str, str]:
    """Return (code, realm id) of a consent; raises ConnectProblem for anything else."""
    if answer.error:
        problem = _ERRORS.get(answer.error, Problem.REFUSED_BY_QUICKBOOKS)
        named = answer.error in _ERRORS or answer.error in _NAMED_IN_THE_LOG
        raise ConnectProblem(problem, answer.error if named else "an error of an unknown name")
    if not 0 < len(answer.code) <= _MAX_CODE or not answer.code.isprintable():
        raise ConnectProblem(Problem.INCOMPLETE, "no usable code")
    if not _REALM_ID.fullmatch(answer.realm_id):
        raise ConnectProblem(Problem.INCOMPLETE, "no usable company")
    return answer.code, answer.realm_id
