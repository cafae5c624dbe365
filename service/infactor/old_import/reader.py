"""Reads the rows of Infactor's own old QuickBooks import from its database.

Those that were adopted have our revision, too: whoever asks knows which still are somebody's.
"""

from collections.abc import Collection
from typing import Any

import pymongo
from bson import ObjectId

from service.infactor.collection import REVISION
from service.infactor.mongo import InfactorDatabase, infactors_errors

# Infactor's collection has no index: each call scans all of it, a million rows in seconds. A server
# that falls silent meanwhile holds a thread for as long.
_SCAN_SECONDS = 30.0
_CHUNK = 1_000

_FIELDS = (
    "invoiceId",
    "qbkInvoiceId",
    "invoiceNo",
    "invoiceAmount",
    "buyerEmail",
    "companyEmail",
    "companyName",
    "contactName",
    "state",
    "created",
    REVISION,
)
_PROJECTION = dict.fromkeys(_FIELDS, 1)


def old_rows(
    infactor: InfactorDatabase, supplier_email: str, *, seconds: float = _SCAN_SECONDS
) -> list[dict[str, Any]]:
    """Return the old import's rows under exactly this e-mail address, within `seconds`.

    Raises InfactorAway.
    """
    of_the_old_import = {
        "supplierEmail": supplier_email,
        "source": {"$regex": "^quickbooks?$", "$options": "i"},
        "qbkInvoiceId": {"$exists": True},
        # Ours, after Infactor's form for new invoices has removed the revision.
        "_id": {"$not": {"$regex": "^qbk-"}},
    }
    # First of all, because the time-out of the scan also covers waiting for a server.
    infactor.version()
    invoices = infactor.invoices
    scan = {"find": invoices.name, "filter": of_the_old_import, "projection": _PROJECTION}
    # A command, because the client sends a find again and again for as long as it may take, where
    # a server that is no primary any more refuses it at once: the job tries again by itself.
    with infactors_errors(), pymongo.timeout(seconds):
        return list(invoices.database.cursor_command(scan))


def rows_by_id(infactor: InfactorDatabase, row_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return those of these rows that there are, whatever they are by now; raises InfactorAway."""
    found: list[dict[str, Any]] = []
    wanted = sorted(row_ids)
    with infactors_errors():
        for start in range(0, len(wanted), _CHUNK):
            keys = [ObjectId(row_id) for row_id in wanted[start : start + _CHUNK]]
            found += infactor.invoices.find({"_id": {"$in": keys}}, _PROJECTION)
    return found


def own_documents(infactor: InfactorDatabase, invoice_ids: Collection[str]) -> set[str]:
    """Return those of our invoice ids that have a document; raises InfactorAway."""
    found: set[str] = set()
    wanted = sorted(invoice_ids)
    with infactors_errors():
        for start in range(0, len(wanted), _CHUNK):
            chunk = {"_id": {"$in": wanted[start : start + _CHUNK]}}
            found.update(row["_id"] for row in infactor.invoices.find(chunk, {"_id": 1}))
    return found
