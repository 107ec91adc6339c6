"""Rollouts' rings as pictures: marks while they are few, bars when they are many, arithmetic that adds up."""

from __future__ import annotations

from fettle_web.pages.rings import WORDS, Mark, draw, parts
from hypothesis import given
from hypothesis import strategies as st

COUNTS = st.dictionaries(st.sampled_from(sorted(WORDS)), st.integers(0, 20_000))


def test_a_small_ring_shows_each_pc_and_no_bars():
    drawn = draw(
        {(1, "Elm Park"): {"done": 1, "waiting": 1}}, [Mark("a", "PC 1", "done", ""), Mark("b", "PC 2", "waiting", "")]
    )
    assert (len(drawn.marks), drawn.bars, drawn.words) == (2, (), "1 waiting, 1 done")


def test_a_large_ring_shows_a_bar_for_each_school_by_name():
    drawn = draw({(2, "Zoo"): {"done": 400}, (1, "apple"): {"waiting": 300, "failed": 2}})
    assert [(bar.school, bar.words) for bar in drawn.bars] == [
        ("apple", "0 of 302 done, 2 failed"),
        ("Zoo", "400 of 400 done"),
    ]
    assert drawn.total == 702


@given(COUNTS)
def test_a_bar_shows_every_state_that_is_there_and_stays_inside(counts):
    made = parts(counts)
    assert {part.state for part in made} == {state for state, count in counts.items() if count}
    assert all(0 <= part.x < 100 and part.x + part.width <= 100.9 for part in made)
