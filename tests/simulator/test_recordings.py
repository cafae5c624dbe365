"""The simulator answers as the real QuickBooks did when its traffic was recorded."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from starlette.testclient import TestClient

from service.simulator.app import create_simulator
from service.simulator.books.book import Book
from service.simulator.clock import Clock
from service.simulator.config import SimulatorConfig
from tests.simulator.likeness import differences
from tests.simulator.recordings import (
    FOLDER,
    REALM,
    VARIABLE,
    Recording,
    book_before,
    read_recordings,
    recordings_file,
)
from tests.simulator.wire import ACCOUNTING, REDIRECT, a_config


class RecordedClock(Clock):
    """A clock that stands at the moment of a recording."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self._at = at

    def now(self) -> datetime:
        return self._at


def _recorded() -> list[Recording]:
    path = recordings_file()
    return read_recordings(path) if path.exists() else []


RECORDED = _recorded()
GUIDE = Path(__file__).parents[2] / "service" / "guide" / "simulator.md"


def test_recorded_interactions_are_answered_alike(capsys: pytest.CaptureFixture[str]) -> None:
    if not RECORDED:
        reason = f"no recorded traffic in {recordings_file().parent}; set {VARIABLE} to its folder"
        # A machine that has what is shared has to have these; another one cannot.
        if os.environ.get("CI") and (VARIABLE in os.environ or FOLDER.parents[1].is_dir()):
            pytest.fail(reason)
        pytest.skip(reason)
    unlike = {
        str(recording): found
        for recording in RECORDED
        if (found := differences(recording, *_answered(recording)))
    }
    with capsys.disabled():
        print(f"\n{len(RECORDED) - len(unlike)} of {len(RECORDED)} interactions answered alike")
    assert unlike == {}
    own = sum(recording.is_own_work for recording in RECORDED)
    said = GUIDE.read_text()
    assert f"| all | {len(RECORDED)} of {len(RECORDED)} |" in said
    assert f"batch | {own} of {own} |" in said


def _answered(recording: Recording) -> tuple[int, Any, Any]:
    """Return status, headers and body of the simulator's answer to the same request."""
    sent = dict(parse_qsl(recording.raw["req_body"])) if recording.is_oauth else {}
    refused = recording.raw["status"] == 401
    config = a_config() if refused else _config_of(sent)
    book = Book.of({REALM: book_before(recording, RECORDED)})
    app = create_simulator(config, book, RecordedClock(recording.at))
    grants = app.state.simulator.grants
    now = app.state.simulator.clock.now()
    code = grants.new_code(REALM, config.redirect_uri, ACCOUNTING, now)
    with TestClient(app, base_url="http://localhost") as client:
        if recording.is_oauth:
            body = sent if refused else {**sent, "code": code}
            answer = client.post(recording.raw["path"], data=body)
        else:
            token, _ = grants.exchange(code, config.redirect_uri, now)
            answer = client.request(
                recording.raw["method"],
                f"/v3/company/{REALM}/{recording.resource}",
                params=parse_qs(recording.raw["query"]),
                content=recording.raw["req_body"],
                headers={
                    "Accept": "application/json",
                    **recording.raw["req_headers"],
                    "Authorization": f"Bearer {'expired' if refused else token}",
                },
            )
    return answer.status_code, answer.headers, answer.json()


def _config_of(sent: dict[str, str]) -> SimulatorConfig:
    if not sent:
        return a_config()
    return SimulatorConfig(
        client_id=sent["client_id"],
        client_secret=sent["client_secret"],
        verifier_token="verifier",
        redirect_uri=sent.get("redirect_uri", REDIRECT),
    )
