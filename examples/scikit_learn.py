"""Cross-validate few-shot classification with scikit-learn, beside a classifier of its own.

    pip install "edge-meta[sklearn]"
    python examples/scikit_learn.py

The images are scikit-learn's handwritten digits, 8×8 pixels, six examples a class: four to learn from, two to judge by.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from edge_meta.estimator import FewShotClassifier

digits = load_digits()
chosen = np.concatenate([np.flatnonzero(digits.target == digit)[:6] for digit in range(10)])
ink, names = digits.images[chosen], digits.target[chosen].astype(str)
images = (255 - 15.9 * ink).astype(np.uint8)  # the encoder knows black ink on white paper
folds = StratifiedKFold(3, shuffle=True, random_state=0)

for name, classifier, examples in (
    ("prototypes", FewShotClassifier("omniglot"), images),
    ("linear head", FewShotClassifier("omniglot", head="linear"), images),
    ("nearest pixels", KNeighborsClassifier(1), ink.reshape(len(ink), -1)),
):
    scores = cross_val_score(classifier, examples, names, cv=folds)
    print(f"{name}: {100 * scores.mean():.1f} % right, over three folds")
