"""Episodes: of the right shape and classes, drawn uniformly, and each one a function of its seed and number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import DatasetError


def with_counts(*counts: int) -> Dataset:
    """A dataset whose classes have that many examples each; its images are of one pixel."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    names = tuple(f"class {index}" for index in range(len(counts)))
    return Dataset("made", "train", np.zeros((len(labels), 1, 1, 1), np.uint8), labels, names, ("",) * len(counts))


def by_authors(groups: Mapping[str, Sequence[Sequence[int]]], order: Sequence[int] | None = None) -> Dataset:
    """A dataset of these groups: the author of each example, for each class of a group; the classes in another order."""
    listed = [(group, authors) for group, classes in groups.items() for authors in classes]
    listed = [listed[index] for index in order or range(len(listed))]
    whole = np.array([author for _, authors in listed for author in authors], np.int32)
    dataset = with_counts(*(len(authors) for _, authors in listed))
    return replace(dataset, groups=tuple(group for group, _ in listed), authors=whole)


def same(one: Episode, other: Episode) -> bool:
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in ("classes", "support", "query"))


def assert_sound(sampler: EpisodeSampler, episode: Episode) -> None:
    assert episode.classes.shape == (sampler.way,)
    assert episode.support.shape == (sampler.way, sampler.shot)
    assert episode.query.shape == (sampler.way, sampler.query)
    assert len(set(episode.classes.tolist())) == sampler.way
    drawn = np.concatenate([episode.support, episode.query], axis=1)
    assert len(np.unique(drawn)) == drawn.size, "an example was drawn twice"
    assert np.all(sampler.dataset.labels[drawn] == episode.classes[:, None])


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_episode_has_distinct_classes_and_examples(data: st.DataObject) -> None:
    way = data.draw(st.integers(2, 8), "way")
    shot = data.draw(st.integers(1, 6), "shot")
    query = data.draw(st.integers(1, 6), "query")
    counts = data.draw(st.lists(st.integers(shot + query, shot + query + 20), min_size=way, max_size=way + 5), "counts")
    sampler = EpisodeSampler(with_counts(*counts), way, shot, query, data.draw(st.integers(0, 2**40), "seed"))
    for number in data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=3), "numbers"):
        assert_sound(sampler, sampler.episode(number))


def test_an_episode_may_use_up_its_dataset() -> None:
    sampler = EpisodeSampler(with_counts(4, 4, 4), way=3, shot=1, query=3)
    episode = sampler.episode(0)
    assert_sound(sampler, episode)
    assert sorted(np.concatenate([episode.support, episode.query], axis=1).ravel()) == list(range(12))


def test_an_episode_does_not_depend_on_earlier_ones() -> None:
    dataset = with_counts(*range(10, 30))
    sampler = EpisodeSampler(dataset, 5, 2, 3, seed=4)
    in_order = list(sampler.episodes(20))
    for number in (19, 3, 3, 0, 11):
        assert same(sampler.episode(number), in_order[number])
        assert same(EpisodeSampler(dataset, 5, 2, 3, seed=4).episode(number), in_order[number])
    assert len({episode.support.tobytes() for episode in in_order}) == 20


def test_another_seed_gives_other_episodes() -> None:
    dataset = with_counts(*[20] * 30)
    one, other = (EpisodeSampler(dataset, 5, 1, 1, seed) for seed in (0, 1))
    ahead = {episode.support.tobytes() for episode in other.episodes(50)}
    assert not any(episode.support.tobytes() in ahead for episode in one.episodes(50))


def test_classes_are_drawn_uniformly_whatever_their_size() -> None:
    classes, way, episodes = 10, 4, 2500
    sampler = EpisodeSampler(with_counts(*[5, 50] * 5), way, 1, 1, seed=1)
    drawn = Counter(int(label) for episode in sampler.episodes(episodes) for label in episode.classes)
    expected = episodes * way / classes
    # Drawing without replacement makes counts less spread than Pearson's statistic assumes, by this factor.
    narrower = (1 - way / classes) * classes / (classes - 1)
    statistic = sum((drawn[label] - expected) ** 2 for label in range(classes)) / (expected * narrower)
    assert statistic < 35  # exceeded by a uniform sampler once in 17,000 seeds (χ², 9 degrees of freedom)


def test_examples_of_a_class_are_drawn_equally_often() -> None:
    sampler = EpisodeSampler(with_counts(3, 9, 6), way=3, shot=1, query=2, seed=2)
    episodes = list(sampler.episodes(3000))
    for drawn, share in (([e.support for e in episodes], 1), ([e.query for e in episodes], 2)):
        counts = np.bincount(np.ravel(drawn), minlength=18)
        expected = share * 3000 / np.repeat([3, 9, 6], [3, 9, 6])
        assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected)), counts


def test_a_class_that_is_too_small_is_named() -> None:
    with pytest.raises(DatasetError, match=r"class 2 has 12 examples .*shot 5 \+ query 15 need 20"):
        EpisodeSampler(with_counts(20, 20, 12, 20), way=2, shot=5, query=15)


def test_a_class_without_examples_is_named() -> None:
    dataset = Dataset("made", "val", np.zeros((4, 1, 1, 1), np.uint8), np.zeros(4, np.int32), ("full", "empty"), ("", ""))
    with pytest.raises(DatasetError, match=r"empty has 0 examples in the val split of made"):
        EpisodeSampler(dataset, way=2, shot=1, query=1)


def test_a_way_beyond_the_classes_is_refused_with_both_numbers() -> None:
    with pytest.raises(DatasetError, match=r"Way 1000000 needs 1000000 classes; the train split of made has 3"):
        EpisodeSampler(with_counts(20, 20, 20), way=1_000_000, shot=1, query=1)


@pytest.mark.parametrize(
    ("way", "shot", "query", "seed"), [(1, 1, 1, 0), (0, 1, 1, 0), (2, 0, 1, 0), (2, 1, 0, 0), (2, -1, 1, 0), (2, 1, 1, -1)]
)
def test_numbers_that_make_no_episode_are_refused(way: int, shot: int, query: int, seed: int) -> None:
    with pytest.raises(DatasetError, match=rf"way {way}, shot {shot}, query {query} \(seed {seed}\) is not possible"):
        EpisodeSampler(with_counts(20, 20, 20), way, shot, query, seed)


def test_shots_beyond_any_memory_are_refused_and_not_allocated() -> None:
    with pytest.raises(DatasetError, match="class 0 has 20 examples"):
        EpisodeSampler(with_counts(20, 20), way=2, shot=10**15, query=10**15)


def test_the_episodes_of_a_seed_are_those_that_were_ever_drawn() -> None:
    dataset = with_counts(7, 4, 9, 5, 6, 4)
    authors = np.concatenate([np.arange(count) for count in (7, 4, 9, 5, 6, 4)]).astype(np.int32)
    for data in (dataset, replace(dataset, groups=tuple("xxyyyx"), authors=authors)):
        episode = EpisodeSampler(data, way=3, shot=2, query=2, seed=11).episode(5)
        assert episode.classes.tolist() == [5, 1, 4]
        assert episode.support.tolist() == [[31, 34], [10, 7], [30, 25]]
        assert episode.query.tolist() == [[33, 32], [8, 9], [26, 29]]


# --- within one group -------------------------------------------------------------------------------------------------


def groups_of(episode: Episode, dataset: Dataset) -> set[str]:
    return {dataset.groups[label] for label in episode.classes}


def authors_of(examples: np.ndarray, dataset: Dataset) -> list[set[int]]:
    """Of the examples of each class, whose they are."""
    assert dataset.authors is not None
    return [set(row) for row in dataset.authors[examples].tolist()]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_within_a_group_support_and_queries_have_other_authors(data: st.DataObject) -> None:
    way, shot, query = (data.draw(st.integers(least, 5), name) for least, name in ((2, "way"), (1, "shot"), (1, "query")))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**40), "seed of the dataset"))
    sizes = [way, *data.draw(st.lists(st.integers(1, way + 3), max_size=3), "more groups")]
    # Each class has its examples in another order of the group's authors.
    authors = [int(rng.integers(shot + query, shot + query + 8)) for _ in sizes]
    groups = {f"group {k}": [rng.permutation(authors[k]).tolist() for _ in range(size)] for k, size in enumerate(sizes)}
    dataset = by_authors(groups, rng.permutation(sum(sizes)).tolist())
    sampler = EpisodeSampler(dataset, way, shot, query, data.draw(st.integers(0, 2**40), "seed"), within_group=True)
    for episode in sampler.episodes(5):
        assert_sound(sampler, episode)
        assert len(groups_of(episode, dataset)) == 1
        support, asked = authors_of(episode.support, dataset), authors_of(episode.query, dataset)
        assert support == [support[0]] * way
        assert asked == [asked[0]] * way
        assert (len(support[0]), len(asked[0])) == (shot, query)
        assert not support[0] & asked[0]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_within_a_group_of_incomplete_authors_episodes_are_sound(data: st.DataObject) -> None:
    way, shot, query = (data.draw(st.integers(least, 4), name) for least, name in ((2, "way"), (1, "shot"), (1, "query")))
    need = shot + query
    example = st.integers(0, 2 * need)
    unique = data.draw(st.booleans(), "every author at most once a class")
    classes = st.lists(example, min_size=need, max_size=2 * need, unique=unique)
    groups = {
        name: data.draw(st.lists(classes, min_size=least, max_size=way + 2), name) for name, least in (("a", way), ("b", 1))
    }
    order = data.draw(st.permutations(range(sum(map(len, groups.values())))), "order")
    dataset = by_authors(groups, order)
    for known in (dataset, replace(dataset, authors=None)):
        sampler = EpisodeSampler(known, way, shot, query, data.draw(st.integers(0, 2**40), "seed"), within_group=True)
        for episode in sampler.episodes(5):
            assert_sound(sampler, episode)
            assert len(groups_of(episode, dataset)) == 1
            if unique:
                pairs = zip(authors_of(episode.support, dataset), authors_of(episode.query, dataset), strict=True)
                assert not any(support & asked for support, asked in pairs)


def test_an_author_who_lacks_in_a_class_is_replaced_there_only() -> None:
    dataset = by_authors({"only": [[0, 1, 2, 3], [0, 1, 2, 3], [3, 1, 0]]})
    sampler = EpisodeSampler(dataset, way=3, shot=1, query=1, within_group=True)
    replaced = 0
    for episode in sampler.episodes(100):
        support, asked = (
            dict(zip(episode.classes.tolist(), map(set.pop, authors_of(part, dataset)), strict=True))
            for part in (episode.support, episode.query)
        )
        assert (support[0], asked[0]) == (support[1], asked[1])
        if 2 not in (support[0], asked[0]):
            assert (support[2], asked[2]) == (support[0], asked[0])
        else:
            replaced += 1
            assert support[2] == (asked[0] if support[0] == 2 else support[0])
    assert 20 < replaced < 80


def test_groups_and_their_classes_are_drawn_equally_often() -> None:
    sizes, way, episodes = {"small": 3, "just": 4, "twice": 8, "thrice": 12}, 4, 3000
    all_authors = {group: [list(range(6))] * size for group, size in sizes.items()}
    dataset = by_authors(all_authors, np.random.default_rng(0).permutation(27).tolist())
    sampler = EpisodeSampler(dataset, way, 1, 1, seed=1, within_group=True)
    drawn = [episode.classes for episode in sampler.episodes(episodes)]
    groups = Counter(dataset.groups[classes[0]] for classes in drawn)
    assert set(groups) == {"just", "twice", "thrice"}
    statistic = sum((count - episodes / 3) ** 2 for count in groups.values()) / (episodes / 3)
    assert statistic < 20  # exceeded by a uniform sampler once in 22,000 seeds (χ², 2 degrees of freedom)
    for label, count in enumerate(np.bincount(np.ravel(drawn), minlength=27)):
        group = dataset.groups[label]
        expected = groups[group] * way / sizes[group]
        assert abs(count - expected) <= 5 * np.sqrt(expected), (label, group)


def test_authors_of_a_group_are_drawn_equally_often() -> None:
    dataset = by_authors({"five": [[3, 1, 4, 0, 2]] * 3, "eight": [[7, 6, 5, 4, 3, 2, 1, 0]] * 3})
    sampler = EpisodeSampler(dataset, way=3, shot=1, query=2, seed=3, within_group=True)
    episodes = list(sampler.episodes(3000))
    for group, authors in (("five", 5), ("eight", 8)):
        own = [episode for episode in episodes if groups_of(episode, dataset) == {group}]
        for drawn, share in (([e.support[0] for e in own], 1), ([e.query[0] for e in own], 2)):
            assert dataset.authors is not None
            counts = np.bincount(dataset.authors[np.ravel(drawn)])
            expected = share * len(own) / authors
            assert len(counts) == authors
            assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected)), counts


def test_without_authors_classes_draw_examples_independently() -> None:
    dataset = replace(by_authors({"a": [list(range(10))] * 2, "b": [list(range(10))] * 3}), authors=None)
    sampler = EpisodeSampler(dataset, way=2, shot=1, query=1, seed=2, within_group=True)
    episodes = list(sampler.episodes(4000))
    together = np.zeros((10, 10), int)
    for episode in episodes:
        together[tuple(episode.support[:, 0] % 10)] += 1
    # All pairs of places are as likely: χ² with 99 degrees of freedom, exceeded once in 10,000 seeds.
    assert ((together - 40) ** 2 / 40).sum() < 161
    counts = np.bincount(np.ravel([episode.support for episode in episodes]), minlength=50)
    expected = np.repeat([4000 / 2 / 10, 4000 / 2 * 2 / 3 / 10], [20, 30])
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected)), counts


def test_within_a_group_an_episode_depends_on_seed_and_number() -> None:
    dataset = by_authors({"a": [list(range(10))] * 6, "b": [list(range(12))] * 8})
    sampler = EpisodeSampler(dataset, 5, 2, 3, seed=4, within_group=True)
    in_order = list(sampler.episodes(20))
    for number in (19, 3, 3, 0, 11):
        assert same(sampler.episode(number), in_order[number])
        assert same(EpisodeSampler(dataset, 5, 2, 3, seed=4, within_group=True).episode(number), in_order[number])
    assert len({episode.support.tobytes() for episode in in_order}) == 20
    assert not same(EpisodeSampler(dataset, 5, 2, 3, seed=5, within_group=True).episode(0), in_order[0])


def test_rotations_of_a_group_are_groups_of_their_own() -> None:
    dataset = by_authors({"a": [list(range(4))] * 2, "b": [list(range(4))]}).with_rotations()
    sampler = EpisodeSampler(dataset, way=2, shot=2, query=2, within_group=True)
    for episode in sampler.episodes(10):
        assert_sound(sampler, episode)
        assert sorted(episode.classes) in ([0, 1], [3, 4], [6, 7], [9, 10])


def test_whole_groups_follow_each_other_with_the_last_in_part() -> None:
    sizes = {"a": 3, "b": 2, "c": 4, "d": 5}
    dataset = by_authors({name: [list(range(4))] * size for name, size in sizes.items()})
    sampler = EpisodeSampler(dataset, way=8, shot=1, query=1, seed=6, whole_groups=1.0)
    orders, firsts = set(), set()
    for episode in sampler.episodes(200):
        assert_sound(sampler, episode)
        drawn = [dataset.groups[label] for label in episode.classes]
        order = tuple(dict.fromkeys(drawn))
        assert drawn == sorted(drawn, key=order.index), "a group's classes do not stand together"
        assert all(drawn.count(group) == sizes[group] for group in order[:-1])
        orders.add(order[:2])
        firsts.add(int(episode.classes[0]))
    assert len(orders) == 12, "groups do not come in any order"
    assert len(firsts) == 14, "a group's classes do not come in any order"


def test_the_share_of_whole_groups_is_as_asked() -> None:
    dataset = by_authors({name: [list(range(4))] * 5 for name in "abcdefgh"})
    whole = [
        len(groups_of(episode, dataset)) == 1
        for episode in EpisodeSampler(dataset, 5, 1, 1, seed=2, whole_groups=0.3).episodes(2000)
    ]  # fmt: skip
    assert abs(sum(whole) - 600) < 5 * np.sqrt(2000 * 0.3 * 0.7)  # by chance, 5 of 40 are of one group once in 10,000
    none = EpisodeSampler(dataset, 5, 1, 1, seed=2, whole_groups=0.0)
    for number, episode in enumerate(none.episodes(20)):
        np.testing.assert_array_equal(episode.classes, np.random.default_rng((2, number)).permutation(40)[:5])


@pytest.mark.parametrize("authors", [True, False])
def test_a_way_beyond_every_group_is_refused(authors: bool) -> None:
    dataset = by_authors({"Arcadian": [[0, 1]] * 3, "Greek": [[0, 1]] * 4, "Latin": [[0, 1]] * 2})
    dataset = dataset if authors else replace(dataset, authors=None)
    complaint = (
        r"Way 5 .* needs a group of 5 classes; the largest in the train split of made, 'Greek', has 4\. Use a smaller"
    )
    with pytest.raises(DatasetError, match=complaint):
        EpisodeSampler(dataset, way=5, shot=1, query=1, within_group=True)
    assert groups_of(EpisodeSampler(dataset, 4, 1, 1, within_group=True).episode(0), dataset) == {"Greek"}
    assert len(groups_of(EpisodeSampler(dataset, 9, 1, 1).episode(0), dataset)) == 3
