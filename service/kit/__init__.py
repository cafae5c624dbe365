"""Small tools that know nothing of invoices: clock, texts, sealing, logs."""
