"""The plain columns that commands print into a pipe, read as a person reads them."""

import re


def cells_of(printed: str) -> list[list[str]]:
    """Return the cells of each row below the header, which says where each column begins."""
    header, *lines = printed.splitlines()
    begins = [found.start() for found in re.finditer(r"\S+(?: \S+)*", header)]
    ends = [*begins[1:], None]
    return [
        [line[begin:end].strip() for begin, end in zip(begins, ends, strict=True)] for line in lines
    ]
