"""A scikit-learn classifier with the store and heads of the device, to cross-validate and compare with others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.blas import Limited
from edge_meta.choices import HEADS
from edge_meta.errors import BackendError, InputError, LabelError, StoreError
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.heads.adapted import adapt_head
from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.backends import DEFAULT
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.embedding_checks import require_resolution
from edge_meta.runtime.interpreter import open_encoder
from edge_meta.store.reader import Snapshot
from edge_meta.store.store import Store
from edge_meta.types import Array, Array64

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_consistent_length
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise BackendError(
        "The estimator needs scikit-learn, which is not installed.", 'Run: pip install "edge-meta[sklearn]"'
    ) from None

ENCODER_ID = "embeddings"  # of stores whose embeddings come without a bundle
STEPS = 10


class FewShotClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Prototypes, or a linear head that starts from them (Snell et al. 2017; Triantafillou et al. 2020), as an estimator.

    With a bundle, X is examples as its encoder takes them: an array (n, ...), for images uint8 (n, H, W[, C]), or a list of
    paths. Without one, X is embeddings (n, D), in magnitude below 2¹⁵. Nothing is rejected as unknown.

    Args:
        bundle: a path, a shipped bundle's name, an opened bundle, or None.
        store: a file for the classes, which the device's commands can use; its labels are those of y as text. Without one,
            the classes are kept in memory.
        head: `prototype`, or `linear`, adapted to all shots after each fit.
        solver, steps, learning_rate: of the linear head; see `Classifier.adapt`. Without a bundle gradient steps are 10
            unless given, at a rate of 2 / (1 + the mean of ‖x‖²), at which none can raise the loss (the bound of Böhning
            1992 on its curvature).

    Attributes:
        classes_: the fitted labels, sorted; `predict_proba` has a column for each.
        snapshot_: the content of the store after the last fit, from which it predicts.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle | None = None,
        store: str | Path | None = None,
        head: str = "prototype",
        solver: str | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
    ) -> None:
        self.bundle, self.store, self.head = bundle, store, head
        self.solver, self.steps, self.learning_rate = solver, steps, learning_rate

    def fit(self, X: Any, y: Any) -> FewShotClassifier:  # noqa: N803
        """Enroll X (n, ...) under the labels y (n,), and forget earlier fits.

        Raises:
            StoreError: the file at `store` holds classes already; they stay as they are. Or X is too small or too large.
            InputError: X is not what the encoder takes, or there is no such head or learning rate.
            ValueError: X or y is not of the form that scikit-learn requires.
        """
        return self._learn(X, y, None, anew=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> FewShotClassifier:  # noqa: N803
        """Enroll more examples of old or new labels, besides those in the file at `store`.

        Args:
            classes: labels of later examples, which get their columns in `predict_proba` now.

        Raises:
            LabelError: the labels in the file at `store` are text, and those of y are not.
        """
        return self._learn(X, y, classes, anew=False)

    @Limited(DEFAULT.threads)
    def predict_proba(self, X: Any) -> Array64:  # noqa: N803
        """The softmax over all labels, float64 (n, labels) in the order of `classes_`; 0 for a label without shots."""
        check_is_fitted(self)
        embeddings = self._embeddings(X if self._opened_bundle() else validate_data(self, X, reset=False))
        texts = [str(label) for label in self.classes_.tolist()]
        places = [texts.index(label) for label in self.snapshot_.labels]
        probabilities = np.zeros((len(embeddings), len(texts)))
        head = ScoringHead(self.snapshot_)
        for row, embedding in zip(probabilities, embeddings, strict=True):
            for near in head.rank(embedding, len(places)):
                row[places[near.label]] = near.score
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The label of each example, (n,), of the dtype of y."""
        probabilities = self.predict_proba(X)
        answers: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return answers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = self.bundle is None, self.bundle is not None
        return tags

    @Limited(DEFAULT.threads)
    def _learn(self, X: Any, y: Any, classes: Any, anew: bool) -> FewShotClassifier:  # noqa: N803
        if self.head not in HEADS:
            raise InputError(f"There is no head {self.head!r}.", f"Use {' or '.join(HEADS)}.")
        first = anew or not hasattr(self, "classes_")
        if self.bundle is None:
            X, y = validate_data(self, X, y, reset=first)  # noqa: N806
        else:
            y = validate_data(self, y=y, reset=first)
            check_consistent_length(X, y)
        check_classification_targets(y)
        labels, owners = np.unique(y, return_inverse=True)
        known = labels if first else np.union1d(self.classes_, labels)
        known = known if classes is None else np.union1d(known, classes)
        embeddings = self._embeddings(X)
        require_resolution(embeddings)
        with self._open_store(embeddings.shape[1], first) as store:
            stored = store.snapshot().labels
            if stored and anew:
                raise StoreError(
                    f"{self.store} holds classes already.", "Add to them with partial_fit, or use another store."
                )
            if not {*stored} <= {str(label) for label in known.tolist()}:
                if known.dtype.kind not in "UO":
                    raise LabelError(f"{self.store} holds labels that are text, and y's are not.", "Give y as text.")
                known = np.union1d(known, stored)
            for index, label in enumerate(labels.tolist()):
                store.enroll(str(label), embeddings[owners == index])
            if self.head == "linear":
                self._adapt(store)
            self.snapshot_: Snapshot = store.snapshot()
        self.classes_: NDArray[Any] = known
        return self

    @contextmanager
    def _open_store(self, dim: int, first: bool) -> Iterator[Store]:
        """Open the file at `store`, or a temporary one that starts from the bytes `content_` and updates them at the end."""
        bundle = self._opened_bundle()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "store.db" if self.store is None else Path(self.store)
            content = None if first else self.content_
            with Store(path, bundle.manifest.encoder_id if bundle else ENCODER_ID, dim, content) as store:
                yield store
            self.content_: bytes | None = path.read_bytes() if self.store is None else None

    def _opened_bundle(self) -> Bundle | None:
        return self.bundle if self.bundle is None or isinstance(self.bundle, Bundle) else Bundle.open(self.bundle)

    def _embeddings(self, X: Any) -> Array:  # noqa: N803
        bundle = self._opened_bundle()
        if bundle is None:
            with np.errstate(over="ignore"):  # the store refuses what is too large
                return np.asarray(X).astype(np.float32)
        input_spec = bundle.manifest.input_spec
        examples = input_spec.read_all(X)
        if not examples:
            raise InputError(f"No {input_spec.noun}s were given.", "Give at least one.")
        return embed_all(open_encoder(bundle), input_spec, np.stack(examples))

    def _adapt(self, store: Store) -> None:
        bundle = self._opened_bundle()
        with store.adapting() as change:
            if bundle is None:
                safe = 2.0 / (1.0 + np.square(change.embeddings, dtype=np.float64).sum(axis=1).mean())
                learned, trusted = (float(safe),) * STEPS, False
            else:
                learned, trusted = bundle.manifest.learning_rates, bundle.manifest.rates_learned
            adapt_head(change, AdaptationConfig.of(learned, trusted, self.solver, self.steps, self.learning_rate))
