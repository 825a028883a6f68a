"""All that is computed from a store's labels to classify, kept up to date while this process and others change it."""

from __future__ import annotations

from edge_meta.heads.scoring import ScoringHead
from edge_meta.runtime.limits import Limits
from edge_meta.runtime.manifest import Manifest
from edge_meta.store.labels import LabelForms
from edge_meta.store.store import Store


class FollowedStore:
    """A store's head, the limits up to which queries are known, and the forms of its labels.

    Attributes:
        head: as it was read last; `current` reads it again where another process has changed the store.
        limits, forms: of that head.
    """

    def __init__(self, store: Store, manifest: Manifest, false_accept: float | None) -> None:
        self._store = store
        self._version = store.version()
        self.head = ScoringHead(store.snapshot())
        self.limits = Limits(store, self.head, manifest, false_accept)
        self.forms = LabelForms(self.head.labels, self.head.shots)

    def current(self) -> ScoringHead:
        """The head, read again if another process has changed the store."""
        return self.head if self._store.version() == self._version else self.refresh()

    def follow(self, label: str) -> ScoringHead:
        """The head after a change of one label, which alone is read again unless another process has changed the store."""
        now = self._store.snapshot(label)
        if self._store.version() != self._version or self.head.adapted:
            return self.refresh()
        self.head.update(label, now)
        self.limits = self.limits.anew(self.head)
        return self.head

    def refresh(self) -> ScoringHead:
        """The head, read again."""
        self._version = self._store.version()
        self.head = ScoringHead(self._store.snapshot())
        self.limits = self.limits.anew(self.head)
        self.forms = LabelForms(self.head.labels, self.head.shots)
        return self.head
