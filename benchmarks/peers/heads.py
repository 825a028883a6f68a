"""Compare few-shot heads with easyfsl's, episode by episode on the same embeddings, on one thread.

    python benchmarks/peers/heads.py --peers VENV [--json]

Print accuracies and times of each pair of heads. The shipped omniglot bundle embeds the evaluation alphabets; then, in one
process of the peers' venv, all heads in turn learn and classify every episode (20 ways, 15 queries a class).
`same_episodes`: the number of episodes in which both heads have the same accuracy. `gain`: our accuracy minus the peer's,
in points, with its 95 % interval over episodes. `ratio`: how many times as long the peer takes for an episode, the median
of ten rounds, and their range. PrototypicalNetworks is the same method as our prototype head; SimpleShot is the nearest
prototype by cosine. Finetune (200 steps of Adam on prototypes, its defaults) is compared with `adapt`, which chooses among
linear heads by held-out shots and so needs two shots a class.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import in_peers, options, ratio, round_medians, show, versions

from edge_meta.evaluation.episode_heads import EpisodeHead, adapted_head, prototype_head
from edge_meta.evaluation.interval import Interval
from edge_meta.heads.adaptation import AdaptationConfig

WAY, QUERY, SHOTS = 20, 15, (1, 5)
EPISODES, ROUNDS = 200, 10


def draw(file: Path) -> None:
    """Write the embeddings of every episode's support and queries, one pair of arrays for each number of shots."""
    from edge_meta.datasets import load_dataset
    from edge_meta.datasets.episodes import EpisodeSampler
    from edge_meta.runtime.bundle import Bundle
    from edge_meta.runtime.embedding import embed_all
    from edge_meta.runtime.interpreter import open_encoder

    bundle = Bundle.open("omniglot")
    data = load_dataset("omniglot", "test", bundle.manifest.input_spec)
    embeddings = embed_all(open_encoder(bundle), bundle.manifest.input_spec, data.examples)
    arrays: dict[str, Any] = {}
    for shot in SHOTS:
        episodes = list(EpisodeSampler(data, WAY, shot, QUERY).episodes(EPISODES))
        arrays[f"support{shot}"] = embeddings[np.stack([episode.support for episode in episodes])]
        arrays[f"query{shot}"] = embeddings[np.stack([episode.query for episode in episodes])]
    np.savez(file, **arrays)


def easyfsl_head(name: str) -> EpisodeHead:
    """Return an easyfsl method as a function of support and query embeddings."""
    import peers_shim  # noqa: F401  (makes easyfsl's methods importable without the rest of it)
    import torch
    from easyfsl.methods import finetune, prototypical_networks, simple_shot

    method = {
        "PrototypicalNetworks": prototypical_networks.PrototypicalNetworks,
        "SimpleShot": simple_shot.SimpleShot,
        "Finetune": finetune.Finetune,
    }[name]()
    torch.set_num_threads(1)

    def head(support: Any, query: Any) -> Any:
        way, shot, dim = support.shape
        with torch.no_grad():
            method.process_support_set(torch.from_numpy(support.reshape(-1, dim)), torch.arange(way).repeat_interleave(shot))
            return method(torch.from_numpy(query.reshape(-1, dim))).numpy()

    return head


def compare(support: Any, query: Any, ours: EpisodeHead, peer: EpisodeHead) -> dict[str, Any]:
    """Compare two heads on the same episodes: support (episodes, way, shot, D), query (episodes, way, query, D)."""
    truth = np.repeat(np.arange(WAY), QUERY)
    correct: dict[str, list[float]] = {"ours": [], "peer": []}
    at = iter(range(2 * EPISODES))

    def evaluate(name: str, head: EpisodeHead) -> None:
        episode = next(at) // 2
        correct[name].append(float(np.mean(head(support[episode], query[episode]).argmax(axis=1) == truth)))

    works = {"ours": lambda: evaluate("ours", ours), "peer": lambda: evaluate("peer", peer)}
    times = round_medians(works, ROUNDS, EPISODES // ROUNDS)
    gains = np.subtract(correct["ours"], correct["peer"])
    gain = Interval.of(gains)
    return {
        "accuracy": round(100 * float(np.mean(correct["ours"])), 2),
        "peer_accuracy": round(100 * float(np.mean(correct["peer"])), 2),
        "gain": round(100 * gain.mean, 2),
        "ci95": round(100 * gain.ci95, 2),
        "same_episodes": int(np.sum(gains == 0)),
        "ours_us": round(1e6 * float(np.median(times["ours"])), 1),
        **ratio(times["ours"], times["peer"]),
    }


def main() -> None:
    given = options(__doc__, extra="drawn")
    if given.peers:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "episodes.npz"
            draw(file)
            show(in_peers(given.peers, __file__, str(file)), given.json)
        return
    drawn = np.load(given.drawn)
    adapted = adapted_head(AdaptationConfig("lda"))  # the solver of `edge-meta adapt` with this bundle
    rows = {}
    for shot in SHOTS:
        episodes = drawn[f"support{shot}"], drawn[f"query{shot}"]
        rows[f"PrototypicalNetworks, {shot} shot"] = compare(*episodes, prototype_head, easyfsl_head("PrototypicalNetworks"))
        rows[f"SimpleShot, {shot} shot"] = compare(*episodes, prototype_head, easyfsl_head("SimpleShot"))
    rows["Finetune, 5 shot"] = compare(*episodes, adapted, easyfsl_head("Finetune"))
    show({"versions": versions("numpy", "torch", "easyfsl"), "episodes": EPISODES, "rows": rows}, as_json=True)


if __name__ == "__main__":
    main()
