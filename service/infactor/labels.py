"""What people call the fields of an invoice: in Infactor's dashboard, and on our own pages."""

LABELS = {
    "invoice": "Invoice",
    "document": "Document",
    "state": "Status",
    "invoiceNo": "Request no",
    "invoiceAmount": "Amount",
    "invoiceDate": "Invoice date",
    "payableDate": "Due",
    "taxAmount": "Tax",
    "items": "Items",
    "taxDetails": "Tax by rate",
    "companyName": "Buyer",
    "buyerEmail": "Buyer's e-mail address",
    "currency": "Currency",
    "balance": "Still open",
}
"""By the names of fields in findings: those of the document, and what else is known of one."""

_OTHERS = {
    "contactName": "Contact",
    "companyEmail": "Company's e-mail address",
    "purchaseTitle": "PO title",
    "purchaseNo": "PO no",
    "purchaseAmount": "PO amount",
    "purchaseDate": "PO date",
    "supplierName": "Supplier",
    "supplierEmail": "Supplier's e-mail address",
    "supplierAddress": "Supplier's address",
}

AMOUNTS = frozenset({"invoiceAmount", "taxAmount", "balance", "purchaseAmount"})
WORDS = frozenset({"invoice", "state"})  # names of our own, or of Infactor's, for what is so
DATES = frozenset({"invoiceDate", "payableDate", "purchaseDate"})

_ABOUT = {
    "changed": "",
    "moved_on": "moved on though held back",
    "hurried": "written over just before the approval",
    "missing": "gone from Infactor",
}


def label(field: str) -> str:
    """Return what people call a field of the document, or its name if it has no other."""
    return LABELS.get(field) or _OTHERS.get(field, field)


def finding_words(field: str, kind: str) -> str:
    """Return what was found: the field, and what became of it where it did not merely change."""
    name, about = label(field), _ABOUT.get(kind, kind)
    return f"{name}: {about}" if about else name
