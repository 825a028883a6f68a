"""The classifier on a device: enroll labels from a few examples, classify, adapt, forget, undo."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_meta.blas import Limited
from edge_meta.errors import LabelError
from edge_meta.heads.rejection import check_rate
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_checks import one_embedding, require_resolution
from edge_meta.runtime.example_embedder import ExampleEmbedder
from edge_meta.runtime.followed_store import FollowedStore
from edge_meta.runtime.interpreter import Encoder, open_encoder
from edge_meta.runtime.results import Enrolled, Event, Prediction, Result
from edge_meta.runtime.store_migration import open_users_store
from edge_meta.store.forget import Forgotten
from edge_meta.store.messages import nothing_enrolled
from edge_meta.store.reader import NONE
from edge_meta.store.store import Store
from edge_meta.store.undo import Undone
from edge_meta.types import Array, Array64

if TYPE_CHECKING:  # imported when first used, so that classifying does not wait for them
    from edge_meta.heads.adapted import Adapted
    from edge_meta.store.merge import Merged


class Classifier:
    """A bundle's encoder with a store of enrolled labels. Make one with `Classifier.load`. Threads may share it."""

    def __init__(self, bundle: Bundle, encoder: Encoder, store: Store, false_accept: float | None = None) -> None:
        self.bundle, self.encoder, self.store = bundle, encoder, store
        self._lock = threading.RLock()
        self._limited = Limited(encoder.options.threads)
        self._examples = ExampleEmbedder(bundle.manifest, encoder, self._lock, self._limited)
        with self._limited:
            self._now = FollowedStore(store, bundle.manifest, false_accept)

    @classmethod
    def load(
        cls,
        bundle: str | Path | Bundle,
        store: str | Path | None = None,
        false_accept: float | None = None,
        keep_shots: bool = True,
        **options: Any,
    ) -> Classifier:
        """Open a bundle and its store.

        Args:
            bundle: a path (folder or zip), a shipped bundle's name, or an opened one.
            store: the .db file; by default one in the user's data folder, by bundle name and encoder id.
            false_accept: the share of strangers that may count as known; the bundle's unless given.
            keep_shots: False to keep sums only, and no single shot; see `Store`.
            options: fields of `RuntimeOptions`, such as threads, backend, accelerator or delegate.

        Raises:
            BundleError: see `Bundle.open` and `open_encoder`.
            BackendError: see `RuntimeOptions` and `open_encoder`.
            StoreError: see `open_users_store`.
            InputError: the bundle is not calibrated for the false-accept rate.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        check_rate(opened.manifest.rejection, false_accept)
        encoder = open_encoder(opened, RuntimeOptions(**options))
        return cls(opened, encoder, open_users_store(opened, store, keep_shots), false_accept)

    @property
    def labels(self) -> list[str]:
        """The enrolled labels, in the order of their first enrollment."""
        with self._lock, self._limited:
            return list(self._now.current().labels)

    def shots(self, label: str) -> int:
        """The number of shots of a label; 0 if it is not enrolled."""
        with self._lock, self._limited:
            return self._now.current().shots(self._now.forms.name(label))

    def label(self, text: str) -> str:
        """The label that a text stands for: as it is enrolled, or would be.

        Texts that look the same, such as é of one character or two, are one label. A new one is in NFC, stripped of blanks.

        Raises:
            LabelError: it is no text, is empty, or has several lines.
        """
        with self._lock, self._limited:
            self._now.current()
            return self._now.forms.name(text)

    def limits(self) -> Array64:
        """The squared distance up to which each label is known, float64 (N,), in the order of `labels`.

        Infinite where the bundle is not calibrated for unknown.
        """
        with self._lock, self._limited:
            self._now.current()
            return np.array(self._now.limits.of_labels)

    @property
    def none_shots(self) -> int:
        """The number of examples of none; see `enroll_none`."""
        with self._lock, self._limited:
            return int(self.store.snapshot(NONE).counts.sum())

    def embed(self, image: Any) -> Array:
        """Embed one example as float32 (D,).

        Args:
            image: an image, a recording or an array, as the bundle's input says: a path, or an array.

        Raises:
            InputError: it is not what the encoder takes.
            BackendError: see `Encoder.embed`.
        """
        return self._examples.embed(image)

    def enroll(self, label: str, images: Any) -> Enrolled:
        """Add examples to a label, creating it if it is new. All of them are added, or none.

        Args:
            label: one line of text; see `label`.
            images: examples, as the bundle's input says: an array (n, ...), for images uint8 (n, H, W[, C]), or a list of
                paths, arrays and Pillow's images.

        Raises:
            InputError: one of them is not what the encoder takes, or there are none.
            LabelError: see `label`.
            StoreError: see `enroll_embeddings`.
            BackendError: see `Encoder.embed`.
        """
        (enrolled,) = self.enroll_embeddings({label: self._examples.embed_several(images, repr(label))})
        return enrolled

    def enroll_none(self, images: Any) -> Enrolled:
        """Show examples of things that are no label: what lies nearer to one of them than to a label is unknown.

        They are kept like shots, but never answered, and an adapted head stays as it is. Undo takes them back. The result's
        label is empty. Arguments and errors are those of `enroll`.
        """
        return self.enroll_none_embeddings(self._examples.embed_several(images, "none"))

    def enroll_none_embeddings(self, embeddings: Array) -> Enrolled:
        """As `enroll_none`, from embeddings, float32 (n, D); raises as `enroll_embeddings` does."""
        with self._lock, self._limited:
            require_resolution(embeddings)
            self.store.enroll_none(embeddings)
            labels = len(self._now.refresh().labels)
            return Enrolled(NONE, len(embeddings), self.none_shots, labels)

    def enroll_embeddings(self, shots: Mapping[str, Array]) -> list[Enrolled]:
        """Add embeddings, float32 (n, D), to each of several labels: all of them, or none.

        Undo takes all of them back in one step; in a store without single shots, in one step per label. A label given in
        several forms has one result.

        Raises:
            LabelError: see `label`.
            StoreError: the store cannot be written, or an embedding has values too large or too small for it.
            ValueError: embeddings are not (n, D) with n at least 1.
        """
        with self._lock, self._limited:
            self._now.current()
            added = self._now.forms.by_name(shots)
            require_resolution(*added.values())
            self.store.enroll_many(added)
            head = self._now.follow(*added) if len(added) == 1 else self._now.refresh()
            # Another process may have forgotten a label already.
            return [
                Enrolled(label, len(embeddings), head.shots(label), len(head.labels)) for label, embeddings in added.items()
            ]

    def classify(self, image: Any, top_k: int = 3) -> Result:
        """Find the nearest enrolled labels, and whether the example is known.

        It is within the limit of its label, and not nearer to an example of none.

        Args:
            image: an example, as the bundle's input says: a path, or an array, for images uint8 (H, W[, C]).
            top_k: the number of labels in `Result.top`, if so many are enrolled.

        Raises:
            InputError: it is not what the encoder takes.
            BackendError: see `Encoder.embed`.
            LabelError: nothing is enrolled.
        """
        return self.classify_embedding(self.embed(image), top_k)

    def classify_embedding(self, embedding: Array, top_k: int = 3) -> Result:
        """Classify as `classify` does, from an embedding, float32 (D,).

        Raises:
            InputError: it is not (D,), or not finite.
            LabelError: nothing is enrolled.
        """
        embedding = one_embedding(embedding, self.bundle.manifest.dim)
        with self._lock, self._limited:
            head = self._now.current()
            if not head.labels:
                raise nothing_enrolled(self.store.path)
            top = head.rank(embedding, top_k)
            ranked = [Prediction(head.labels[near.label], near.score, near.distance) for near in top]
            known = self._now.limits.known(top[0], embedding)
        best = ranked[0]
        if not known:
            best = best._replace(label=None)
        return Result(best, ranked)

    def stream(self, blocks: Iterable[Any], **options: Any) -> Iterator[Event]:
        """Yield what is heard in blocks of samples; see `runtime.streaming.stream`, which has the options and errors."""
        from edge_meta.runtime.streaming import stream

        return stream(self, blocks, **options)

    def adapt(self, steps: int | None = None, learning_rate: float | None = None, solver: str | None = None) -> Adapted:
        """Fit the last layer to all enrolled shots; go back to the prototypes where they do best on held-out shots.

        An earlier adaptation plays no part. See `heads.adaptation` for how shots are held out and choose among heads.

        Args:
            steps: gradient steps allowed; as the bundle says unless given.
            learning_rate: the same for all steps; as the bundle says unless given.
            solver: `lda` (linear discriminant analysis), `gradient` (steps from the prototypes, as many as do best) or
                `ridge` (ridge regression). Unless given, `gradient` where steps or a rate are given or the bundle's rates
                were learned with its encoder, else `lda`.

        Raises:
            LabelError: fewer than two labels are enrolled.
            InputError: no such solver, steps below 1, a learning rate that is not above zero, or either for a solver that
                takes no steps.
        """
        from edge_meta.heads.adaptation import AdaptationConfig
        from edge_meta.heads.adapted import adapt_head

        manifest = self.bundle.manifest
        config = AdaptationConfig.of(manifest.learning_rates, manifest.rates_learned, solver, steps, learning_rate)
        with self._lock, self._limited:
            if len(self._now.current().labels) < 2:
                raise LabelError("Adapting needs at least two labels.", "Enroll more classes first.")
            with self.store.adapting() as change:
                adapted = adapt_head(change, config)
            self._now.refresh()
            return adapted

    def forget(self, label: str, shot: str | None = None) -> Forgotten:
        """Remove a label for good, or one shot of it by its id.

        Returns:
            How many shots, whether an adapted head went with them, and whether bytes may be left; see `Store.forget`.

        Raises:
            LabelError: there is no such label or shot.
            StoreError: the store cannot be written; nothing has changed.
        """
        with self._lock, self._limited:
            label = self.label(label)
            try:
                forgotten = self.store.forget(label, shot)
            except BaseException:  # perhaps an interrupt after the removal, while it waited for another program
                self._now.refresh()
                raise
            self._now.follow(label)
            return forgotten

    def forget_none(self, shot: str | None = None) -> Forgotten:
        """As `forget`, the examples of none, or one of them."""
        with self._changing():
            return self.store.forget_none(shot)

    def rename(self, old: str, new: str) -> int:
        """Rename a label, keeping its shots and an adapted head; returns how many shots it has.

        Raises:
            LabelError: the old one is not enrolled, or the new one is, or is no label.
        """
        with self._changing():
            self._now.current()
            old, new = self._now.forms.renamed(old, new)
            return self.store.rename(old, new)

    def undo(self) -> Undone:
        """Take back the last enroll, adapt or rename.

        Raises:
            LabelError: there is nothing to take back.
        """
        with self._changing():
            return self.store.undo()

    def merge(self, *stores: str | Path) -> Merged:
        """Take over the shots and removals of other stores of the same encoder; see `Store.merge`."""
        with self._changing():
            return self.store.merge(*stores)

    def __repr__(self) -> str:
        head, path = self._now.head, self.store.path
        return f"<Classifier {self.bundle.name}: {len(head.labels)} labels, {head.counts.sum()} shots, {path.name}>"

    def close(self) -> None:
        """Close the store; its file can then be copied as it is."""
        with self._lock:
            self.store.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other threads out, and read the store again after a change, or an error in the midst of one."""
        with self._lock, self._limited:
            try:
                yield
            finally:
                self._now.refresh()
