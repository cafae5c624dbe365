"""Where each field of the document comes from in QuickBooks, for people; `mapping` does it."""

_EMAIL = "BillEmail.Address, else the customer's PrimaryEmailAddr.Address, else its parents'"
_ACCOUNT = "your account in Infactor"
_ALWAYS_EMPTY = "always empty: QuickBooks has nothing of the kind"

ORIGINS = {
    "invoiceNo": "DocNumber",
    "invoiceAmount": "TotalAmt",
    "invoiceDate": "MetaData.CreateTime",
    "payableDate": "DueDate",
    "taxAmount": "TxnTaxDetail.TotalTax",
    "items": "Line",
    "taxDetails": "TxnTaxDetail",
    "companyName": "CustomerRef.name, else the customer's DisplayName",
    "contactName": "CustomerRef.name, else the customer's DisplayName",
    "buyerEmail": _EMAIL,
    "companyEmail": _EMAIL,
    "purchaseDate": "MetaData.CreateTime",
    "state": "Infactor's own: where the invoice stands",
    "qbkInvoiceId": "Id",
    "source": "always QuickBooks",
    "invoiceId": "made of the company and Id",
    "created": "MetaData.CreateTime",
    "supplierEmail": _ACCOUNT,
    "supplierName": _ACCOUNT,
    "supplierAddress": _ACCOUNT,
    "purchaseTitle": "DocNumber, else Id",
    "purchaseNo": "DocNumber",
    "purchaseAmount": "TotalAmt",
    "purchaseDocs": _ALWAYS_EMPTY,
    "grnNo": _ALWAYS_EMPTY,
    "grnDate": _ALWAYS_EMPTY,
    "grnAmount": _ALWAYS_EMPTY,
    "companyType": _ALWAYS_EMPTY,
    "companyPhone": _ALWAYS_EMPTY,
}
"""By the names of the document's fields, in its order; any other field is Infactor's own."""

INFACTORS = "Infactor's own"
