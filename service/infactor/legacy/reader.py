"""Reads the rows of Infactor's own old QuickBooks import from its database."""

from collections.abc import Collection
from typing import Any

import pymongo

from service.infactor.mongo import InfactorDatabase, infactors_errors

# Infactor's collection has no index: each call scans all of it, which can take a while.
_SCAN_SECONDS = 120.0
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
)


def old_rows(infactor: InfactorDatabase, supplier_email: str) -> list[dict[str, Any]]:
    """Return the old import's rows under exactly this e-mail address; raises InfactorAway."""
    of_the_old_import = {
        "supplierEmail": supplier_email,
        "source": {"$regex": "^quickbooks?$", "$options": "i"},
        "qbkInvoiceId": {"$exists": True},
        "qbkRevision": {"$exists": False},
        # Ours, after Infactor's form for new invoices has removed the revision.
        "_id": {"$not": {"$regex": "^qbk-"}},
    }
    # First of all, because the time-out of the scan also covers waiting for a server.
    infactor.version()
    with infactors_errors(), pymongo.timeout(_SCAN_SECONDS):
        return list(infactor.invoices.find(of_the_old_import, dict.fromkeys(_FIELDS, 1)))


def own_documents(infactor: InfactorDatabase, invoice_ids: Collection[str]) -> set[str]:
    """Return those of our invoice ids that have a document; raises InfactorAway."""
    found: set[str] = set()
    wanted = sorted(invoice_ids)
    with infactors_errors():
        for start in range(0, len(wanted), _CHUNK):
            chunk = {"_id": {"$in": wanted[start : start + _CHUNK]}}
            found.update(row["_id"] for row in infactor.invoices.find(chunk, {"_id": 1}))
    return found
