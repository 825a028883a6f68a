"""EfficientNet-Lite with a port's weights, against the network computed in NumPy in float64."""

import numpy as np
import pytest

from edge_meta.errors import TrainingError
from edge_meta.training import efficientnet_lite as lite
from edge_meta.training.efficientnet_lite import efficientnet_lite, load_port, start_from_port

SIZE = 32
EPSILON = 1e-3
NORM = {"weight": (0.5, 1.5), "bias": (-0.5, 0.5), "running_mean": (-0.2, 0.2), "running_var": (0.5, 1.5)}


def port_arrays(seed=0, blocks=16, last=320):
    """Arrays as the PyTorch port names them, of Lite0 or one that ends otherwise."""
    rng = np.random.default_rng(seed)
    arrays = {}

    def conv(name, out, into, kernel):
        arrays[f"{name}.weight"] = rng.normal(0, (into * kernel**2) ** -0.5, (out, into, kernel, kernel)).astype(np.float32)

    def norm(name, channels):
        for part, (low, high) in NORM.items():
            arrays[f"{name}.{part}"] = rng.uniform(low, high, channels).astype(np.float32)

    conv("_conv_stem", 32, 3, 3), norm("_bn0", 32)
    width = 32
    for number, (kernel, _, expansion, filters) in enumerate(GEOMETRY[:blocks]):
        name, inner = f"_blocks.{number}", width * expansion
        if expansion > 1:
            conv(f"{name}._expand_conv", inner, width, 1), norm(f"{name}._bn0", inner)
        conv(f"{name}._depthwise_conv", inner, 1, kernel), norm(f"{name}._bn1", inner)
        filters = last if number == blocks - 1 else filters
        conv(f"{name}._project_conv", filters, inner, 1), norm(f"{name}._bn2", filters)
        width = filters
    return arrays


# Kernel, stride, expansion and filters of Lite0's blocks (Tan and Le 2019, table 1).
GEOMETRY = (
    [(3, 1, 1, 16)] + [(3, 2, 6, 24), (3, 1, 6, 24)] + [(5, 2, 6, 40), (5, 1, 6, 40)] + [(3, 2, 6, 80)] + [(3, 1, 6, 80)] * 2
    + [(5, 1, 6, 112)] * 3 + [(5, 2, 6, 192)] + [(5, 1, 6, 192)] * 3 + [(3, 1, 6, 320)]
)  # fmt: skip


def convolve(x, kernel, stride):
    """TensorFlow's SAME convolution of x (height, width, in) with a kernel (out, in, k, k), by channel if in is 1."""
    k, depthwise = kernel.shape[2], kernel.shape[1] == 1 and x.shape[2] > 1
    sides = [-(-side // stride) for side in x.shape[:2]]
    pads = [max((out - 1) * stride + k - side, 0) for out, side in zip(sides, x.shape[:2], strict=True)]
    padded = np.pad(x, [(pads[0] // 2, pads[0] - pads[0] // 2), (pads[1] // 2, pads[1] - pads[1] // 2), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))[::stride, ::stride]
    return np.einsum("hwcij,cij->hwc" if depthwise else "hwcij,ocij->hwo", windows, kernel[:, 0] if depthwise else kernel)


def reference(arrays, image, blocks):
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}

    def norm(x, name):
        weight, bias, mean, variance = (wide[f"{name}.{part}"] for part in NORM)
        return (x - mean) / np.sqrt(variance + EPSILON) * weight + bias

    def relu6(x):
        return np.clip(x, 0, 6)

    x = relu6(norm(convolve(image, wide["_conv_stem.weight"], 2), "_bn0"))
    for number, (_, stride, expansion, _) in enumerate(GEOMETRY[:blocks]):
        name, y = f"_blocks.{number}", x
        if expansion > 1:
            y = relu6(norm(convolve(y, wide[f"{name}._expand_conv.weight"], 1), f"{name}._bn0"))
        y = relu6(norm(convolve(y, wide[f"{name}._depthwise_conv.weight"], stride), f"{name}._bn1"))
        y = norm(convolve(y, wide[f"{name}._project_conv.weight"], 1), f"{name}._bn2")
        x = x + y if y.shape == x.shape and stride == 1 else y
    return x.mean(axis=(0, 1))


def test_a_ports_network_equals_numpy_in_float64(monkeypatch):
    arrays = port_arrays()
    monkeypatch.setattr(lite, "read_torch_file", lambda path: arrays)
    image = np.random.default_rng(1).normal(size=(SIZE, SIZE, 3))

    embedding = load_port("lite0.pth", SIZE)(image[None].astype(np.float32), training=False).numpy()[0]

    np.testing.assert_allclose(embedding, reference(arrays, image, 16), rtol=2e-3, atol=2e-4)


def test_the_first_blocks_start_from_a_port(monkeypatch):
    arrays = port_arrays()
    monkeypatch.setattr(lite, "read_torch_file", lambda path: arrays)
    image = np.random.default_rng(1).normal(size=(SIZE, SIZE, 3))
    encoder = efficientnet_lite((SIZE, SIZE, 3), blocks=3)

    start_from_port(encoder, "lite0.pth")

    embedding = encoder(image[None].astype(np.float32), training=False).numpy()[0]
    np.testing.assert_allclose(embedding, reference(arrays, image, 3), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(("variant", "parameters"), [(0, 2_998_304), (2, 4_413_488)])
def test_parameters_are_those_of_the_published_networks(variant, parameters):
    # Without the head and its classifier: 4,652,008 of Lite0 less 1,653,704.
    assert efficientnet_lite((SIZE, SIZE, 3), variant).count_params() == parameters


def test_an_embedding_with_a_linear_layer_has_unit_length():
    encoder = efficientnet_lite((SIZE, SIZE, 3), blocks=2, dim=5)
    images = np.random.default_rng(0).normal(size=(3, SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(encoder(images), axis=1), 1.0, rtol=1e-5)


def test_weights_of_another_network_are_refused(monkeypatch):
    monkeypatch.setattr(lite, "read_torch_file", lambda path: port_arrays(blocks=4, last=40))
    with pytest.raises(TrainingError, match="not an EfficientNet-Lite"):
        load_port("other.pth", SIZE)
    with pytest.raises(TrainingError, match="other layers"):
        start_from_port(efficientnet_lite((SIZE, SIZE, 3), blocks=6), "other.pth")
