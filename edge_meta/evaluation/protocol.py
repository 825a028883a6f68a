"""Which episodes a bundle is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass

from edge_meta.errors import InputError


@dataclass(frozen=True)
class EpisodeProtocol:
    """Episodes to draw from a dataset, or, as in `LAKE`, those that a dataset lists.

    Attributes:
        split: of the dataset.
        way, shot, query: classes in an episode, and support and query examples of each.
        episodes: how many, 2 or more.
        seed: of the draw; None for listed episodes.
        within_alphabet: all classes of an episode are of one group of the dataset; see `EpisodeSampler`.

    Raises:
        InputError: fewer than two episodes, which give no interval.
    """

    split: str = "test"
    way: int = 20
    shot: int = 1
    query: int = 15
    episodes: int = 1000
    seed: int | None = 0
    within_alphabet: bool = False

    def __post_init__(self) -> None:
        if self.episodes < 2:
            raise InputError(f"{self.episodes} episodes give no interval.", "Use 2 or more; 1000 is usual.")


LAKE = EpisodeProtocol(query=1, episodes=20, seed=None, within_alphabet=True)


def protocol_for(dataset: str, asked: EpisodeProtocol | None = None, strangers: str | None = None) -> EpisodeProtocol:
    """Choose the protocol: Lake's for `lake`, else the one asked for, else the default.

    Args:
        strangers: the dataset that strangers come from; not with `lake`, which has none and gives none.

    Raises:
        InputError: something was asked for that Lake's protocol fixes.
    """
    if strangers == "lake" or (dataset == "lake" and (asked not in (None, LAKE) or strangers is not None)):
        raise InputError(
            "lake is a fixed protocol: 20 runs, 20-way, one shot and one query of each class, no strangers.",
            "Leave out --split, --way, --shot, --query, --episodes, --seed, --within-alphabet and --strangers; "
            "or use omniglot.",
        )
    return LAKE if dataset == "lake" else asked or EpisodeProtocol()
