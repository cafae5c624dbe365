"""One trace for each webhook, through the processes and over what a flushed queue has lost."""

from pathlib import Path
from typing import Any

import redis
from pymongo.database import Database

from tests.journey.deployment import deployed
from tests.journey.two_companies import BUYER, REALM, a_book, an_invoice
from tests.servers import wait_until
from tests.traces import collecting
from tests.workers.delivering import infactor_settings


def test_a_trace_leads_from_the_webhook_to_infactor_though_the_queue_was_flushed(
    postgres_database: str, redis_database: str, infactors: Database[dict[str, Any]], tmp_path: Path
) -> None:
    supplier = {"email": "supplier@example.com", "type": "Supplier", "accountStatus": "verified"}
    infactors.users.insert_one(supplier)
    with collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            **infactor_settings(infactors),
        }
        with deployed(
            tmp_path,
            a_book(),
            postgres_database,
            redis_url=redis_database,
            workers=1,
            settings=settings,
        ) as made:
            made.connect(REALM)
            made.command("backfill", "--all")
            (worker := made.processes.pop("worker-0")).kill()
            worker.join()
            made.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("500"))

            def arrived() -> list[dict[str, Any]]:
                return [row for row in made.rows("webhooks") if row["entity_id"] == "500"]

            wait_until(lambda: arrived() != [], 60, "the webhook")
            with redis.Redis.from_url(redis_database) as queue:
                queue.flushdb()
            made.start("worker", "worker", "--threads", "4")
            trace = arrived()[0]["delivery"]
            wait_until(lambda: len(collector.of(trace)) == 3, 60, "the whole trace")
    found = collector.of(trace)
    webhook, sync, deliver = (found[n] for n in ("webhook", "company.sync", "company.deliver"))
    assert [span.process for span in (webhook, sync, deliver)] == [
        "infactor-quickbooks-serve",
        "infactor-quickbooks-worker",
        "infactor-quickbooks-worker",
    ]
    assert (webhook.parent, sync.parent, deliver.parent) == ("", webhook.id, webhook.id)
    assert sync.attributes["invoice.ids"] == ["500"]
    (document,) = infactors.invoices.find({"qbkInvoiceId": "500"})
    assert deliver.attributes["invoice.ids"] == [document["invoiceId"]]
    sent = b"".join(collector.bodies)
    private = (REALM, BUYER, "supplier@example.com", "Journey", "100.25")
    assert [text for text in private if text.encode() in sent] == []
