"""What every request can reach, with types."""

from typing import TypedDict

from service.jobs import Nudges
from service.kit.metrics import AnswerCounter
from service.services import Services
from service.web.count_cache import CountCache
from service.web.health.probes import Probes
from service.web.webhook.intake import Intake


class AppState(TypedDict):
    """The application's state, set by its lifespan."""

    services: Services
    nudges: Nudges
    intake: Intake
    answers: AnswerCounter
    probes: Probes
    count_cache: CountCache
