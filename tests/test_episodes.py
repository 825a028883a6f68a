"""Episodes: of the right shape and classes, drawn uniformly, and each one a function of its seed and number alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_meta.datasets import Dataset
from edge_meta.episodes import Episode, EpisodeSampler
from edge_meta.errors import DatasetError


def with_counts(*counts: int) -> Dataset:
    """A dataset whose classes have that many examples each; its images are of one pixel."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    names = tuple(f"class {index}" for index in range(len(counts)))
    return Dataset("made", "train", np.zeros((len(labels), 1, 1, 1), np.uint8), labels, names, ("",) * len(counts))


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
def test_every_episode_has_distinct_classes_and_distinct_examples_of_them(data: st.DataObject) -> None:
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


def test_an_episode_depends_on_its_number_and_not_on_what_was_drawn_before() -> None:
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


def test_every_example_is_drawn_as_often_as_any_other_of_its_class_as_support_and_as_query() -> None:
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
