"""What we read again and has not changed is not mapped again; whatever may change it, is."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from service.database.tables import Connection, Invoice, Supplier
from service.infactor import source_digest as digest_module
from service.infactor.source_digest import MAPPING_VERSION, source_digest
from service.kit.clock import now
from service.store import connection_lifecycle
from tests.workers.world import World, a_customer, an_invoice

MARK = {"mapped": "by hand"}


@pytest.fixture
def marked(world: World) -> World:
    """A company with one invoice, whose mapping shows whether it is mapped again."""
    world.arrive(an_invoice())
    mark(world)
    return world


def mark(world: World) -> None:
    with world.services.database.write() as session:
        session.execute(update(Invoice).values(mapped=MARK))


def is_mapped_again(world: World) -> bool:
    with world.services.database.read() as session:
        return session.query(Invoice).one().mapped != MARK


def test_an_unchanged_invoice_is_not_mapped_again(marked: World) -> None:
    marked.hear("Invoice", "1", "updated")
    assert marked.notices()[-1] == ("done", "unchanged")
    assert not is_mapped_again(marked)


def rename_supplier(world: World) -> None:
    with world.services.database.write() as session:
        session.execute(update(Supplier).values(name="Another Name"))


def hand_over(world: World) -> None:
    with world.services.database.write() as session:
        supplier = session.query(Connection).one().supplier_id
        connection_lifecycle.hand_over(session, world.connection_id, supplier, now())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda w: w.put("Invoice", an_invoice(PrivateNote="new")), id="the invoice"),
        pytest.param(lambda w: w.put("Customer", a_customer(Notes="new")), id="its customer"),
        pytest.param(rename_supplier, id="its supplier"),
        pytest.param(hand_over, id="whose it is"),
    ],
)
def test_what_may_change_an_invoice_has_it_mapped_again(
    marked: World, change: Callable[[World], None]
) -> None:
    change(marked)
    marked.hear("Customer", "7", "updated")
    marked.hear("Invoice", "1", "updated")
    assert is_mapped_again(marked)


def test_a_void_notice_about_an_unchanged_invoice_has_it_mapped_again(world: World) -> None:
    world.arrive(an_invoice(TotalAmt=0, Balance=0))
    mark(world)
    world.hear("Invoice", "1", "voided")
    assert is_mapped_again(world)


def test_other_settings_have_every_invoice_mapped_again(marked: World) -> None:
    settings = marked.services.settings.model_copy(update={"infactor_profile": "guide"})
    marked.services = replace(marked.services, settings=settings)
    marked.hear("Invoice", "1", "updated")
    assert is_mapped_again(marked)


def test_another_mapping_is_another_version(tmp_path: Path) -> None:
    package = tmp_path / "infactor"
    shutil.copytree(Path(digest_module.__file__).parent, package)
    assert source_digest(package) == MAPPING_VERSION
    (package / "mapping.py").write_text((package / "mapping.py").read_text() + "# changed\n")
    assert source_digest(package) != MAPPING_VERSION


def test_what_was_mapped_again_in_vain_is_not_mapped_a_third_time(world: World) -> None:
    world.arrive(an_invoice())
    with world.services.database.write() as session:
        session.execute(update(Invoice).values(digest="of other rules"))
    world.hear("Invoice", "1", "updated")
    mark(world)
    world.hear("Invoice", "1", "updated")
    assert not is_mapped_again(world)
