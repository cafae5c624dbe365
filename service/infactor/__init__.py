"""The invoice as Infactor knows it: mapping, holds and the life of its document.

Everything here is a function of values: no clock, no network, no tables.
"""
