"""Every fault of the reference's section 3.8 by its code, for those who order one."""

from collections.abc import Callable

from service.simulator import faults, refusals
from service.simulator.faults import Fault

# The argument is the access token of the call, which a 401 repeats.
CATALOGUE: dict[str, Callable[[str], Fault]] = {
    "120": lambda _: faults.lost_access(),
    "500": lambda _: faults.unsupported("GET spaceship"),
    "610": lambda _: faults.not_found(),
    "2010": lambda _: refusals.unknown_property("BadJson", "Invoice", ("DocNumber",)),
    "2020": lambda _: refusals.missing("Line"),
    "2030": lambda _: refusals.invalid_id("1.5"),
    "2050": lambda _: refusals.too_long("DocNumber", 21, 45),
    "2500": lambda _: refusals.invalid_reference("583"),
    "3001": lambda _: faults.throttled(),
    "3100": lambda _: faults.unauthorized(),
    "3200": faults.unauthenticated,
    "4000": lambda _: faults.unparsable("(", 1),
    "4001": lambda _: faults.invalid_query("value 0 is too small. Min allowed value is 1"),
    "4002": lambda _: faults.poisoned(),
    "5010": lambda _: refusals.stale(),
    "6000": lambda _: refusals.business("You must set a transaction amount."),
    "6140": lambda _: refusals.duplicate_number("1043"),
    "6190": lambda _: refusals.subscription_ended(),
    "6210": lambda _: refusals.books_closed(),
    "6240": lambda _: refusals.duplicate_name(),
    "10000": lambda _: faults.system_error(),
}
