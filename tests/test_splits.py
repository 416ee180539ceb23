from collections import Counter

import pytest

from stages.episodes.splits import split_of


def episodes(sessions, each=4):
    return [(f"s{number:02d}", episode) for number in range(sessions) for episode in range(each)]


def sessions_of(splits):
    found = {}
    for (session, _), split in splits.items():
        found.setdefault(split, set()).add(session)
    return found


def test_shares_take_whole_sessions():
    splits = split_of(episodes(20), unit="session", val=0.15, test=0.2, seed=0)
    assert set(splits) == set(episodes(20))
    found = sessions_of(splits)
    assert {split: len(sessions) for split, sessions in found.items()} == {"train": 13, "val": 3, "test": 4}
    assert not (found["train"] & found["val"] | found["train"] & found["test"] | found["val"] & found["test"])


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    splits = split_of(episodes(20), unit="session", val=0.15, test=0.2, seed=0)
    assert split_of(episodes(20)[::-1], unit="session", val=0.15, test=0.2, seed=0) == splits
    assert split_of(episodes(20), unit="session", val=0.15, test=0.2, seed=1) != splits


@pytest.mark.parametrize("unit", ["session", "episode"])
def test_the_smallest_input_gives_every_split_one(unit):
    three = episodes(3, 1) if unit == "session" else episodes(1, 3)
    assert Counter(split_of(three, unit=unit, val=0.01, test=0.01, seed=5).values()) == {
        "train": 1,
        "val": 1,
        "test": 1,
    }


def test_names_choose_sessions_and_the_rest_is_train():
    splits = split_of(episodes(4, 2), unit="session", val=["s01"], test=("s03", "s00"), seed=0)
    assert sessions_of(splits) == {"val": {"s01"}, "test": {"s00", "s03"}, "train": {"s02"}}


def test_a_name_and_a_share_go_together():
    splits = split_of(episodes(10), unit="session", val=["s07"], test=0.2, seed=3)
    found = sessions_of(splits)
    assert found["val"] == {"s07"}
    assert len(found["test"]) == 2
    assert "s07" not in found["test"]


def test_episodes_split_whole_episodes():
    splits = split_of(episodes(1, 10), unit="episode", val=0.2, test=0.3, seed=0)
    assert Counter(splits.values()) == {"train": 5, "val": 2, "test": 3}
    named = split_of(episodes(2, 3), unit="episode", val=["s00:1"], test=["s01"], seed=0)
    assert [named["s00", episode] for episode in range(3)] == ["train", "val", "train"]
    assert {named["s01", episode] for episode in range(3)} == {"test"}


def test_too_few_sessions_names_the_way_out():
    with pytest.raises(ValueError, match=r"found 1 session with an episode \(s00\).*split.unit: episode"):
        split_of(episodes(1), unit="session", val=0.2, test=0.2, seed=0)
    with pytest.raises(ValueError, match="found 2 episodes with an episode .*fight_start"):
        split_of(episodes(1, 2), unit="episode", val=0.2, test=0.2, seed=0)
    with pytest.raises(ValueError, match=r"found 0 sessions with an episode \(none\)"):
        split_of([], unit="session", val=0.2, test=0.2, seed=0)


def test_a_session_in_two_splits():
    with pytest.raises(ValueError, match="'s01' is named in both val and test"):
        split_of(episodes(4), unit="session", val=["s00", "s01"], test=["s01"], seed=0)
    with pytest.raises(ValueError, match="'s01:0' is named in both val and test"):
        split_of(episodes(4), unit="episode", val=["s01:0"], test=["s01"], seed=0)


def test_an_unknown_session_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"split.test names 'tuesday'.*known: s00, s01, s02"):
        split_of(episodes(3), unit="session", val=["s00"], test=["tuesday"], seed=0)


@pytest.mark.parametrize(
    ("val", "test", "empty"),
    [([], 0.2, "val"), (0.2, [], "test"), (["s00", "s01"], ["s02", "s03"], "train"), (0.5, 0.5, "train")],
)
def test_an_empty_split(val, test, empty):
    with pytest.raises(ValueError, match=f"no session is left for {empty}"):
        split_of(episodes(4), unit="session", val=val, test=test, seed=0)


def test_an_unknown_unit():
    with pytest.raises(ValueError, match="split.unit is 'frame', expected session or episode"):
        split_of(episodes(4), unit="frame", val=0.2, test=0.2, seed=0)


@pytest.mark.parametrize(
    ("known", "written"), [("20240501_120000", "20240501120000"), ("1.10", "1.1"), ("1e3", "1000.0")]
)
def test_a_name_that_dvc_made_a_number_of_is_told_with_its_quotes(known, written):
    found = [(name, 0) for name in (known, "b", "c")]
    with pytest.raises(ValueError, match=f"names '{written}'.* put it in quotes: -S \"split.val=..{known}..\""):
        split_of(found, unit="session", val=[written], test=["b"], seed=0)
