"""What the edge reads while streams are open, on both stores."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_server.estate.tables import Watch
from fettle_server.ingest import queries
from fettle_server.journal import actions as journal
from fettle_server.journal.queries import newest_id


def news(store: Any, after_id: int, now: dt.datetime) -> queries.News:
    with store.begin() as tx:
        return queries.news(tx, after_id, now)


def test_revocation_is_news_and_other_entries_are_not(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        before = newest_id(tx)
        journal.record(tx, "endpoint.enrolled", "system", "endpoint:aa", None, {}, now)
        journal.record(tx, "endpoint.revoked", "system", "endpoint:bb", None, {}, now)
    found = news(store, before, now)
    assert found.revoked == {"bb"}
    assert found.newest_id == before + 2


def test_a_changed_class_is_seen_from_its_time_on(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint(endpoint_class="trolley", classed_at=now)
    with store.begin() as tx:
        assert queries.classed_since(tx, now) == [(pk, "trolley", now)]
        assert queries.classed_since(tx, now + dt.timedelta(seconds=1)) == []


def test_watch_is_news_until_it_is_over(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint()
    until = now + dt.timedelta(seconds=30)
    with store.begin() as tx:
        tx.execute(sa.insert(Watch).values(endpoint_pk=pk, until=until))
    assert news(store, 0, now).watches == ((pk, until),)
    assert news(store, 0, until).watches == ()
