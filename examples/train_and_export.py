"""Train a small encoder on drawn characters, export it to int8, and judge the bundle as a device runs it.

    pip install "edge-meta[train]"
    python examples/train_and_export.py [OUTPUT]

Takes less than a minute, and downloads nothing. The bundle, OUTPUT/letters.bundle, works with all edge-meta verbs.
"""

import sys
from pathlib import Path

from edge_meta import TrainingConfig, evaluate, export_bundle, train

output = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example")
config = TrainingConfig(dataset="glyphs", encoder="resnet7", image_size=20, way=30, episodes=52, learning_rate=0.005)

# The folder of a run holds its settings, its curve, a checkpoint, and the encoder that did best on validation classes.
run = train(config, output / "run")

# Quantize, calibrate, prove, pack. This short a training may lose more accuracy to int8 than the usual one point.
bundle = export_bundle(run.path, output / "letters.bundle", max_drop=5.0, overwrite=True, on_note=print)

# 1,000 episodes of test classes, 20 ways, 1 shot: the bundle's own file, in a device's interpreter.
accuracy = evaluate(bundle, "glyphs").accuracy
print(f"{bundle.path}: {100 * accuracy.mean:.1f} ± {100 * accuracy.ci95:.1f} %")
