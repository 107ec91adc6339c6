"""The packed history: one row an endpoint-hour in weekly tables, replaced in place and dropped by the week."""

from __future__ import annotations

from fettle_server.estate import history
from fettle_server.estate.history import HOURS_A_WEEK, HourPack

WEEK = 2946
FIRST = WEEK * HOURS_A_WEEK


def put(store, *rows):
    with store.begin() as tx:
        history.store(tx, rows, set())


def get(store, pk, first, last):
    with store.begin() as tx:
        return history.read(tx, pk, first, last)


def test_hours_come_back_in_order_across_weeks(store):
    put(store, (7, FIRST, b"b"), (7, FIRST - 1, b"a"), (8, FIRST, b"other"))
    assert get(store, 7, FIRST - 5, FIRST + 5) == (HourPack(FIRST - 1, b"a"), HourPack(FIRST, b"b"))


def test_an_hour_replaces_itself(store):
    put(store, (7, FIRST, b"early"))
    put(store, (7, FIRST, b"earlier"), (7, FIRST, b"late"))
    assert get(store, 7, FIRST, FIRST) == (HourPack(FIRST, b"late"),)


def test_reading_what_was_never_stored_gives_nothing(store):
    assert get(store, 7, FIRST, FIRST + 1000) == ()


def test_age_is_dropped_by_the_week(store):
    put(store, (7, FIRST - 1, b"old"), (7, FIRST, b"new"))
    with store.begin() as tx:
        assert history.drop_before(tx, FIRST - 1) == 0
        assert history.drop_before(tx, FIRST) == 1
        assert history.weeks(tx) == (WEEK,)


def test_a_table_made_in_a_transaction_that_failed_is_made_again(store):
    with store.engine.connect() as tx:
        history.store(tx, [(7, FIRST, b"a")], set())
        tx.rollback()
    put(store, (7, FIRST, b"a"))
    assert get(store, 7, FIRST, FIRST) == (HourPack(FIRST, b"a"),)


def test_the_largest_endpoint_and_hour_keep_apart(store):
    put(store, (2**32 - 1, FIRST, b"a"), (0, FIRST + 1, b"b"))
    assert get(store, 2**32 - 1, FIRST, FIRST + 1) == (HourPack(FIRST, b"a"),)
