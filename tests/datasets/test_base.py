"""Datasets in memory: splits of classes, rotations and reflections, digests, and parts that must belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.workstation import synthetic

from edge_meta.datasets import SPLITS
from edge_meta.datasets.base import split_of_classes
from edge_meta.datasets.episodes import EpisodeSampler


@pytest.mark.parametrize("count", [3, 4, 5, 10, 33, 200])
def test_splits_share_no_class_and_leave_none_out(count: int) -> None:
    names = [f"name {index}" for index in range(count)]
    parts = {split: split_of_classes(names, split) for split in SPLITS}
    assert sorted(index for part in parts.values() for index in part) == list(range(count))
    assert all(part == sorted(part) and part for part in parts.values())
    assert len(parts["val"]) == len(parts["test"]) == max(1, round(count / 5))


def test_a_class_keeps_its_split_in_whatever_order_classes_come() -> None:
    names = [f"name {index}" for index in range(40)]
    backwards = names[::-1]
    for split in SPLITS:
        one, other = (split_of_classes(order, split) for order in (names, backwards))
        assert {names[index] for index in one} == {backwards[index] for index in other}


def test_two_classes_are_too_few_to_hold_any_back() -> None:
    assert [split_of_classes(["a", "b"], split) for split in (*SPLITS, "all")] == [[0, 1], [], [], [0, 1]]


def test_rotations_are_three_more_classes_of_turned_pixels() -> None:
    upright = synthetic(4, 3)
    turned = upright.with_rotations()
    assert len(turned.class_names) == len(set(turned.class_names)) == len(turned.groups) == 16
    assert turned.class_names[:4] == upright.class_names
    assert turned.class_names[4:8] == tuple(f"{name} @90" for name in upright.class_names)
    assert np.all(np.bincount(turned.labels) == 3)
    for quarter in range(4):
        for index, image in enumerate(upright.examples):
            after = turned.examples[12 * quarter + index]
            for y, x in ((0, 3), (5, 1), (15, 15)):
                origin = [(y, x), (x, 15 - y), (15 - y, 15 - x), (15 - x, y)][quarter]
                assert after[y, x, 0] == image[origin][0]
    assert turned.digest != upright.digest


def test_rotations_keep_who_made_each_example() -> None:
    upright = synthetic(4, 3)
    assert upright.with_rotations().authors is None
    authors = np.array([2, 0, 1, 1, 2, 0, 0, 0, 0, 3, 1, 2], np.int32)
    turned = replace(upright, authors=authors).with_rotations()
    assert turned.authors is not None
    assert turned.authors.dtype == np.int32
    assert turned.authors.tolist() == authors.tolist() * 4


def test_reflections_are_one_more_class_of_each() -> None:
    authors = np.array([2, 0, 1, 1, 2, 0, 0, 0, 0, 3, 1, 2], np.int32)
    plain = replace(synthetic(4, 3), authors=authors, groups=("a", "a", "b", "b"))
    both = plain.with_reflections()
    assert both.class_names == plain.class_names + tuple(f"{name} @mirror" for name in plain.class_names)
    assert both.groups == ("a", "a", "b", "b", "a @mirror", "a @mirror", "b @mirror", "b @mirror")
    assert both.labels.tolist() == np.repeat(np.arange(8), 3).tolist()
    assert both.labels.dtype == np.int32
    assert both.authors.tolist() == authors.tolist() * 2
    for before, after in zip(plain.examples, both.examples[12:], strict=True):
        for y, x in ((0, 3), (5, 1), (15, 15)):
            assert after[y, x, 0] == before[y, 15 - x, 0]
    np.testing.assert_array_equal(both.examples[:12], plain.examples)
    assert synthetic(4, 3).with_reflections().authors is None


def test_images_that_are_not_square_can_be_mirrored() -> None:
    wide = replace(synthetic(2, 2), examples=np.arange(60, dtype=np.uint8).reshape(4, 3, 5, 1))
    np.testing.assert_array_equal(wide.with_reflections().examples[4:], wide.examples[:, :, ::-1])


def test_turned_and_mirrored_a_class_has_eight_views() -> None:
    plain = replace(synthetic(2, 1), groups=("a", "b"))
    both = plain.with_rotations().with_reflections()
    assert len(both.class_names) == len(set(both.class_names)) == 16
    assert both.groups.count("a @270 @mirror") == both.groups.count("a") == 1
    views = {
        np.rot90(side, turns).tobytes() for side in (plain.examples[1], plain.examples[1][:, ::-1]) for turns in range(4)
    }
    assert len(views) == 8
    assert {image.tobytes() for image in both.examples[1::2]} == views


def test_images_that_are_not_square_cannot_be_turned() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        replace(synthetic(2, 2), examples=np.zeros((4, 3, 5, 1), np.uint8)).with_rotations()


def test_the_digest_tells_any_change_of_pixels_labels_or_names() -> None:
    data = synthetic(3, 4)
    assert data.digest == synthetic(3, 4).digest
    pixel = data.examples.copy()
    pixel[-1, 0, 0] ^= 1
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2], np.int32)
    changed = [
        replace(data, examples=pixel),
        replace(data, labels=labels),
        replace(data, class_names=("class 0", "class 1", "class two")),
        replace(data, examples=data.examples.reshape(12, 8, 32, 1)),
    ]
    assert len({data.digest, *(other.digest for other in changed)}) == 5


@pytest.mark.parametrize(
    ("classes", "examples", "shot", "expected"),
    [
        (30, 20, 1, (20, 1, 15)),
        (30, 20, 5, (20, 5, 15)),
        (6, 20, 5, (6, 5, 15)),
        (30, 12, 5, (20, 5, 7)),
        (30, 3, 5, (20, 2, 1)),
        (30, 2, 5, (20, 1, 1)),
    ],
)
def test_the_protocol_is_the_usual_one_or_as_near_as_it_can_be(
    classes: int, examples: int, shot: int, expected: tuple[int, int, int]
) -> None:
    assert synthetic(classes, examples).protocol(shot) == expected


def test_a_dataset_whose_parts_do_not_belong_together_is_refused() -> None:
    data = synthetic(3, 4)
    with pytest.raises(ValueError, match="do not belong together"):
        replace(data, labels=data.labels[:-1])
    with pytest.raises(ValueError, match="do not belong together"):
        replace(data, groups=("",))
    with pytest.raises(ValueError, match="ascending"):
        replace(data, labels=data.labels[::-1])


def test_a_dataset_and_a_sampler_are_shown_in_a_line() -> None:
    data = synthetic(12, 10)
    shown = repr(data)
    assert shown == f"<Dataset {data.name}, {data.split}: 12 classes, 120 examples of 16×16×1 uint8>"
    assert repr(EpisodeSampler(data, 5, 1, 4)) == f"<EpisodeSampler 5-way 1-shot, 4 queries of {shown}>"
