"""The conditions of `service/monitoring/`, as its source names them."""

import re

from tests.layout import ROOT


def causes() -> set[str]:
    """Return the cause of every condition."""
    texts = [path.read_text() for path in (ROOT / "service" / "monitoring").glob("*.py")]
    constants = dict(re.findall(r'^(\w+) = "([a-z_]+\.[a-z_]+)"$', "\n".join(texts), re.M))
    given = re.findall(r'cause=(?:"([a-z_.]+)"|(\w+)\b(?!\.))', "\n".join(texts))
    return {text or constants.get(name, name) for text, name in given}
