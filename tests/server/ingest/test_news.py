"""What the edge reads while streams are open, on both stores."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_server.estate.tables import Watch
from fettle_server.ingest import queries
from fettle_server.journal import actions as journal
from fettle_server.journal.queries import newest_id
from fettle_server.proactive.tables import PolicyVersion


def news(store: Any, after_id: int, policy_version: int, now: dt.datetime) -> queries.News:
    with store.begin() as tx:
        return queries.news(tx, after_id, policy_version, now)


def test_revocation_is_news_and_other_entries_are_not(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        before = newest_id(tx)
        journal.record(tx, "endpoint.enrolled", "system", "endpoint:aa", None, {}, now)
        journal.record(tx, "endpoint.revoked", "system", "endpoint:bb", None, {}, now)
    found = news(store, before, 10**6, now)
    assert found.revoked == {"bb"}
    assert found.newest_id == before + 2


def test_policy_is_news_only_where_it_is_newer(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        present = queries.newest_policy(tx)
        row = {"version": present + 1, "body": b"newer", "created_at": now, "created_by": "test"}
        tx.execute(sa.insert(PolicyVersion).values(row))
    assert (news(store, 0, present, now).policy_version, news(store, 0, present, now).policy) == (present + 1, b"newer")
    assert news(store, 0, present + 1, now).policy == b""


def test_watch_is_news_until_it_is_over(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint()
    until = now + dt.timedelta(seconds=30)
    with store.begin() as tx:
        tx.execute(sa.insert(Watch).values(endpoint_pk=pk, until=until))
    assert news(store, 0, 10**6, now).watches == ((pk, until),)
    assert news(store, 0, 10**6, until).watches == ()
