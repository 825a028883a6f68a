"""The same file in LiteRT's other interface, CompiledModel, which phones use for their accelerators."""

from __future__ import annotations

import numpy as np
import pytest
from support.device import takes

from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder

compiled_model = pytest.importorskip("ai_edge_litert.compiled_model", reason="tflite-runtime has no CompiledModel")


def test_it_embeds_as_the_interpreter_does(bundle: Bundle) -> None:
    encoder, input_spec = open_encoder(bundle), bundle.manifest.input_spec
    with compiled_model.CompiledModel.from_buffer(bundle.model) as compiled:
        index = compiled.get_signature_index("embed")
        inputs, outputs = compiled.create_input_buffers(index), compiled.create_output_buffers(index)
        for kind in range(5):
            image = input_spec.normalize(input_spec.read(takes(kind, 1)[0]))[None]
            inputs[0].write(image)
            compiled.run_by_index(index, inputs, outputs)
            found = outputs[0].read(bundle.manifest.dim, np.float32)
            expected = encoder.embed(image)
            step = np.diff(np.unique(expected)).min()
            assert np.abs(expected).max() > 10 * step
            assert np.abs(found - expected).max() <= 1.001 * step
