"""The invoice as Infactor knows it: mapping, holds, the life of its document, and its database.

Only `collection`, `logins`, `mongo`, `users` and `old_import.reader` call that database. The rest
are functions of values: no clock, no network, no tables.
"""
