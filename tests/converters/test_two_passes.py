"""A part that works on two images at once becomes two passes, where each image is treated alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from converters.targets.reference_kernels import run
from converters.tflite.edit import serialize
from converters.tflite.model import ModelFile, parse
from converters.tflite.two_passes import separate_images

Part = Callable[[tf.Tensor], tf.Tensor]
FILTERS = np.random.default_rng(0).normal(size=(3, 3, 1, 2)).astype(np.float32)


def of_two_images(part: Part) -> bytes:
    """A file that runs `part` on an image and on the image turned around, (2, 6, 6, 1), and joins the results in one row."""

    @tf.function(input_signature=[tf.TensorSpec((1, 6, 6, 1))])
    def embed(image: tf.Tensor) -> tf.Tensor:
        return tf.reshape(part(tf.concat([image, tf.reverse(image, [2])], 0)), (1, -1))

    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([embed.get_concrete_function()]).convert())


def convolved(images: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.nn.conv2d(images, FILTERS, 2, "SAME"))


def averaged(images: tf.Tensor) -> tf.Tensor:
    return 0.5 * tf.reduce_mean(convolved(images), [1, 2])


def test_two_passes_give_what_one_gave() -> None:
    model = parse(content := of_two_images(averaged))
    assert separate_images(model)
    apart = serialize(model)
    results = [tensor.shape for operator in ModelFile.parse(apart).subgraphs[0] for tensor in operator.outputs]
    assert all(shape[0] == 1 for shape in results)
    images = np.random.default_rng(1).normal(size=(5, 6, 6, 1)).astype(np.float32)
    np.testing.assert_array_equal(run(apart, images), run(content, images))


@pytest.mark.parametrize(
    "part",
    [
        lambda images: averaged(images) * np.float32([[1, 1], [2, 2]]),
        lambda images: tf.reduce_mean(convolved(images), 0),
        lambda images: tf.linalg.matmul(averaged(images), averaged(images), transpose_b=True),
        convolved,
    ],
    ids=["an operand for each image", "a mean over both", "a product of both", "maps in one row"],
)
def test_what_does_not_treat_images_alone_stays(part: Part) -> None:
    model = parse(content := of_two_images(part))
    assert not separate_images(model)
    assert [tensor.shape for operator in ModelFile.parse(serialize(model)).subgraphs[0] for tensor in operator.outputs] == [
        tensor.shape for operator in ModelFile.parse(content).subgraphs[0] for tensor in operator.outputs
    ]
