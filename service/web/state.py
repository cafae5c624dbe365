"""What every request can reach, and the one place where it is typed."""

from typing import TypedDict

from service.bootstrap import Services
from service.jobs import Nudges
from service.web.counted import Counted
from service.web.heartbeat import Answers
from service.web.intake import Intake
from service.web.vitals import Vitals


class State(TypedDict):
    """The application's state, put there by its lifespan."""

    services: Services
    nudges: Nudges
    intake: Intake
    answers: Answers
    vitals: Vitals
    counted: Counted
