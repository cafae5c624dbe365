"""What QuickBooks says to a write that it does not accept."""

from service.simulator.faults import Fault

MISSING = "Required param missing, need to supply the required value for the API"
TOO_LONG = "String length is either shorter or longer than supported by specification"


def unknown_property(name: str, entity: str, known: tuple[str, ...]) -> Fault:
    """A property that the entity does not have."""
    listed = ", ".join(f'"{other}"' for other in known)
    detail = (
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), '
        f"not marked as ignorable ({len(known)} known properties: {listed} [truncated]])\n "
        "specified is unsupported or invalid"
    )
    return Fault("2010", "Request has invalid or unsupported property", detail)


def unreadable(what: str) -> Fault:
    """A property whose value is of another kind than it should be."""
    detail = f"Property Name:{what} specified is unsupported or invalid"
    return Fault("2010", "Request has invalid or unsupported property", detail)


def missing(name: str) -> Fault:
    """Something that has to be there is not."""
    detail = f"Required parameter {name} is missing in the request"
    return Fault("2020", MISSING, detail, element=name)


def invalid_id(value: object) -> Fault:
    """An id that is no number."""
    detail = f"Id should be a valid number. Supplied value:{value}"
    return Fault("2030", "Invalid ID", detail, element="Id")


def too_long(name: str, most: int, length: int) -> Fault:
    """A text beyond its length."""
    detail = (
        "String length specified does not match the supported length. "
        f"Min:0 Max:{most} supported. Supplied length:{length}"
    )
    return Fault("2050", TOO_LONG, detail, element=name)


def invalid_reference(value: object) -> Fault:
    """A customer that does not exist."""
    detail = f"Invalid Reference Id : Names element id {value} not found"
    return Fault("2500", "Invalid Reference Id", detail)


def stale() -> Fault:
    """A SyncToken that is not the current one."""
    detail = (
        "Stale Object Error : You and another user were working on this at the same time. "
        "Another user finished before you did, so your work was not saved."
    )
    return Fault("5010", "Stale Object Error", detail)


def business(why: str) -> Fault:
    """A rule of bookkeeping that the write would break."""
    message = "A business validation error has occurred while processing your request"
    return Fault("6000", message, f"Business Validation Error: {why}")


def duplicate_number(number: str) -> Fault:
    """A document number that is taken, where numbers are unique."""
    detail = (
        "Duplicate Document Number Error : You must specify a different number. "
        f"This number has already been used. DocNumber={number} is assigned to another transaction."
    )
    return Fault("6140", "Duplicate Document Number Error", detail)


def subscription_ended() -> Fault:
    """A company that pays no more."""
    detail = (
        "Subscription period has ended or canceled or there was a billing problem : You can't add "
        "data to QuickBooks Online Plus because your trial or subscription period ended."
    )
    return Fault("6190", "Invalid Company Status", detail)


def books_closed() -> Fault:
    """A day before the books were closed."""
    detail = (
        "The account period has closed and the account books cannot be updated through the QBO "
        "Services API. Please use the QBO website to make these changes."
    )
    return Fault("6210", "Account Period Closed", detail)


def duplicate_name() -> Fault:
    """A display name that is taken."""
    detail = "The name supplied already exists. : null"
    return Fault("6240", "Duplicate Name Exists Error", detail)
