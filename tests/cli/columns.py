"""The plain columns that commands print into a pipe, read as a script reads them."""


def cells_of(printed: str) -> list[list[str]]:
    """Return the cells of each row below the header; `-` is an empty one."""
    rows = [
        ["" if cell.strip() == "-" else cell.strip() for cell in line.split("  ") if cell]
        for line in printed.splitlines()
    ]
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows[1:]
