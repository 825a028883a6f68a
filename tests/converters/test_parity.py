"""The parity report: nothing lost is zero drop and cosine 1, and what is lost shows."""

from __future__ import annotations

import numpy as np
import pytest
from support.workstation import synthetic

from converters.quantization.parity import EPISODES, RANDOM_SEED, parity, require_parity
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation.accuracy import accuracies


@pytest.fixture
def data() -> Dataset:
    return synthetic(12, 10)


@pytest.fixture
def exact(data: Dataset) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(12, 6))[data.labels] + 0.7 * rng.normal(size=(120, 6))).astype(np.float32)


def test_identical_embeddings_lose_nothing(data: Dataset, exact: np.ndarray) -> None:
    report = parity(exact, exact.copy(), data)
    assert (report["dataset"], report["split"]) == ("synthetic", "train")
    assert report["cosine"] == {"p0": 1.0, "p1": 1.0, "p10": 1.0, "p50": 1.0}
    for entry, shot, query in zip(report["episodes"], (1, 5), (9, 5), strict=True):
        assert (entry["way"], entry["shot"], entry["query"], entry["episodes"]) == (12, shot, query, EPISODES)
        assert entry["drop"] == {"mean": 0.0, "ci95": 0.0}
        assert entry["float32"] == entry["quantized"]


def test_noise_is_a_drop_beyond_its_interval(data: Dataset, exact: np.ndarray) -> None:
    noisy = exact + np.random.default_rng(1).normal(0, 0.6, exact.shape).astype(np.float32)
    report = parity(exact, noisy, data)
    assert report["cosine"]["p0"] <= report["cosine"]["p1"] <= report["cosine"]["p10"] <= report["cosine"]["p50"] < 0.99
    for entry in report["episodes"]:
        assert entry["drop"]["mean"] - entry["drop"]["ci95"] > 0.02
        assert entry["float32"]["mean"] - entry["quantized"]["mean"] == pytest.approx(entry["drop"]["mean"], abs=2e-5)


def test_scale_and_sign_change_no_accuracy(data: Dataset, exact: np.ndarray) -> None:
    scaled, turned = parity(exact, 4 * exact, data), parity(exact, -exact, data)
    assert set(scaled["cosine"].values()) == {1.0}
    assert set(turned["cosine"].values()) == {-1.0}
    for report in (scaled, turned):
        assert [entry["drop"]["mean"] for entry in report["episodes"]] == [0.0, 0.0]


def test_numbers_are_those_of_paired_episodes(data: Dataset, exact: np.ndarray) -> None:
    noisy = exact + np.random.default_rng(1).normal(0, 0.3, exact.shape).astype(np.float32)
    sampler = EpisodeSampler(data, 12, 1, 9, RANDOM_SEED)
    one, other = (accuracies(embeddings, sampler, EPISODES) for embeddings in (exact, noisy))
    entry = parity(exact, noisy, data)["episodes"][0]
    for name, values in (("float32", one), ("quantized", other), ("drop", one - other)):
        assert entry[name]["mean"] == pytest.approx(values.mean(), abs=1e-5)
        assert entry[name]["ci95"] == pytest.approx(1.96 * values.std(ddof=1) / EPISODES**0.5, abs=1e-5)
    cosine = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(exact, noisy, strict=True)]
    assert parity(exact, noisy, data)["cosine"]["p50"] == pytest.approx(np.median(cosine), abs=1e-5)


def test_embeddings_that_are_zero_have_cosine_zero(data: Dataset, exact: np.ndarray) -> None:
    assert parity(exact, np.zeros_like(exact), data)["cosine"]["p50"] == 0.0


# --- how much may be lost ---------------------------------------------------------------------------------------------


def report_of(one_shot: float, five_shot: float, layers: bool = True) -> dict:
    """A report with these mean drops, as fractions."""
    episodes = [
        {"way": 20, "shot": shot, "drop": {"mean": drop, "ci95": 0.0021}} for shot, drop in ((1, one_shot), (5, five_shot))
    ]
    worst = [{"layer": "conv2", "operator": "CONV_2D", "own_db": 3.2, "total_db": 1.0}]
    return {"episodes": episodes, "layers": worst * layers}


@pytest.mark.parametrize("drops", [(0.0, 0.0), (0.01, 0.01), (-0.2, -0.1), (0.00999, -0.5)])
def test_a_drop_up_to_the_limit_passes(drops: tuple[float, float]) -> None:
    require_parity(report_of(*drops), "int8", 1.0)


@pytest.mark.parametrize("drops", [(0.0101, 0.0), (0.0, 0.0101), (0.3, 0.02)])
def test_a_drop_beyond_the_limit_is_an_error_in_any_row(drops: tuple[float, float]) -> None:
    with pytest.raises(ExportError, match=f"int8 costs {100 * max(drops):.2f} ± 0.21 points"):
        require_parity(report_of(*drops), "int8", 1.0)


@pytest.mark.parametrize(
    ("quantize", "remedy"),
    [
        ("int8", "Fine-tune for int8 with --quantize-aware 300, use --quantize float16 or float32, or allow"),
        ("dynamic", "Use --quantize float16 or float32, or allow"),
        ("int16x8", "Use --quantize float16 or float32, or allow"),
        ("float16", "Use --quantize float32, or allow"),
    ],
)
def test_the_error_says_where_it_was_lost_and_what_to_do(quantize: str, remedy: str) -> None:
    with pytest.raises(ExportError) as caught:
        require_parity(report_of(0.05, 0.02), quantize, 0.2)
    assert caught.value.cause == (
        f"{quantize} costs 5.00 ± 0.21 points of accuracy at 20-way 1-shot, more than --max-drop 0.2 allows; most noise "
        "arises at conv2 (3.2 dB)."
    )
    assert caught.value.remedy == f"{remedy} more with --max-drop."
    with pytest.raises(ExportError, match=r"--max-drop 0\.2 allows\. "):
        require_parity(report_of(0.05, 0.02, layers=False), quantize, 0.2)
