"""What every request can reach, and the one place where it is typed."""

from typing import TypedDict

from service.bootstrap import Services
from service.jobs import Nudges
from service.web.intake import Intake


class State(TypedDict):
    """The application's state, put there by its lifespan."""

    services: Services
    nudges: Nudges
    intake: Intake
