"""External delegates get their options. Their failure is an error, or a fallback to the CPU if that was asked for.

The delegate is a small one in C that the test compiles. It takes no operators, so that embeddings stay as they are.
"""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.device import cli, complaint, draw, png, python

from edge_meta import Classifier
from edge_meta.errors import BackendError, BundleError, FallbackWarning
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

# The interface of external delegates: two functions, and a struct whose layout both runtimes share. The options are the
# test's own: `log` (a file that is told of every call), `refuse` (why it cannot start), `status` (Prepare's; 0 is fine).
DELEGATE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Delegate {
  void* data;
  int (*prepare)(void* context, struct Delegate* self);
  void* copy_from_buffer; void* copy_to_buffer; void* free_buffer;
  int64_t flags;
  void* opaque_builder;
} Delegate;

static char log_path[4096];
static int status;

static void say(const char* what, const char* value) {
  FILE* file = log_path[0] ? fopen(log_path, "a") : NULL;
  if (file) { fprintf(file, "%s %s\n", what, value); fclose(file); }
}

static int prepare(void* context, Delegate* self) { say("prepare", ""); return status; }

Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  log_path[0] = 0; status = 0;
  for (size_t i = 0; i < count; i++) if (!strcmp(keys[i], "log")) strcpy(log_path, values[i]);
  for (size_t i = 0; i < count; i++) {
    say(keys[i], values[i]);
    if (!strcmp(keys[i], "refuse")) { if (values[i][0]) report(values[i]); return NULL; }
    if (!strcmp(keys[i], "status")) status = atoi(values[i]);
  }
  Delegate* self = calloc(1, sizeof(Delegate));
  self->prepare = prepare;
  return self;
}

void tflite_plugin_destroy_delegate(Delegate* self) { if (self) { say("destroy", ""); free(self); } }
"""


def compiled(folder: Path, source: str) -> Path:
    """Compile C to a shared library in a folder."""
    gcc = shutil.which("gcc") or pytest.skip("there is no gcc to compile a delegate with")
    (folder / "delegate.c").write_text(source)
    subprocess.run([gcc, "-shared", "-fPIC", "-o", "delegate.so", "delegate.c"], cwd=folder, check=True)
    return folder / "delegate.so"


@pytest.fixture(scope="module")
def delegate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("delegate"), DELEGATE)


@pytest.fixture
def image(bundle: Bundle) -> NDArray[np.float32]:
    return bundle.manifest.input_spec.normalize(draw(0)[None, :, :, None])


def test_a_delegate_gets_its_options_and_lives_with_its_encoder(
    bundle: Bundle, delegate: Path, tmp_path: Path, image: NDArray[np.float32]
) -> None:
    log = tmp_path / "log"
    options = RuntimeOptions(delegate=delegate, delegate_options={"log": str(log), "device": "usb:0", "name": "für ü"})
    encoder = Encoder(bundle.model, options)
    said = log.read_text().splitlines()
    assert said[:3] == [f"log {log}", "device usb:0", "name für ü"]
    assert "prepare " in said
    np.testing.assert_array_equal(encoder.embed(image), Encoder(bundle.model).embed(image))
    assert "destroy " not in log.read_text()
    del encoder
    gc.collect()
    assert log.read_text().splitlines()[-1] == "destroy "


@pytest.mark.parametrize("status", [1, 2, 3])
def test_a_delegate_that_refuses_the_model_is_an_error(bundle: Bundle, delegate: Path, status: int) -> None:
    options = RuntimeOptions(delegate=delegate, delegate_options={"status": str(status)})
    with pytest.raises(BackendError, match=r"delegate\.so does not take the encoder: .*delegate.*--fallback cpu"):
        Encoder(bundle.model, options)


@pytest.mark.parametrize(("reason", "words"), [("no device on the bus", "no device on the bus"), ("", "gives no reason")])
def test_a_delegate_that_does_not_start_says_why(bundle: Bundle, delegate: Path, reason: str, words: str) -> None:
    with pytest.raises(BackendError, match=rf"delegate\.so does not start \({words}|it {words}\)"):
        Encoder(bundle.model, RuntimeOptions(delegate=delegate, delegate_options={"refuse": reason}))


def test_what_is_no_delegate_is_an_error_with_a_cause(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("not a library")
    for library, words in [
        (tmp_path / "nosuch.so", "nosuch.so cannot be loaded"),
        ("libnosuch.so.1", "libnosuch.so.1 cannot be loaded"),
        (tmp_path / "text.so", "text.so cannot be loaded"),
        (tmp_path, "cannot be loaded"),
        ("a\0b", "cannot be loaded"),
        (compiled(tmp_path, "int other(void) { return 0; }"), "delegate.so is a library, but not an external delegate"),
    ]:
        with pytest.raises(BackendError, match=words):
            Encoder(bundle.model, RuntimeOptions(delegate=library))


@pytest.mark.parametrize("options", [{"refuse": "no device"}, {"status": "2"}])
def test_the_cpu_takes_over_only_when_asked_and_says_so(
    bundle: Bundle, delegate: Path, options: dict[str, str], image: NDArray[np.float32]
) -> None:
    with pytest.warns(FallbackWarning, match=r"delegate\.so does not .* on the CPU"):
        encoder = Encoder(bundle.model, RuntimeOptions(delegate=delegate, delegate_options=options, fallback="cpu"))
    assert encoder.options.delegate is None
    np.testing.assert_array_equal(encoder.embed(image), Encoder(bundle.model).embed(image))


def test_a_delegate_is_not_blamed_for_a_broken_model(bundle: Bundle, delegate: Path) -> None:
    with pytest.raises(BundleError):
        Encoder(b"\x1c\0\0\0TFL3" + bytes(100), RuntimeOptions(delegate=delegate, fallback="cpu"))


@pytest.mark.parametrize(
    "options", [{"fallback": "gpu", "delegate": "x.so"}, {"fallback": "cpu"}, {"delegate_options": {"a": "b"}}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        RuntimeOptions(**options)


def test_a_device_that_goes_away_is_an_error(
    bundle: Bundle, image: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(bundle.model)

    def fail() -> None:
        raise RuntimeError("Failed to execute request.\nNode number 0 (EdgeTpuDelegate) failed to invoke.")

    monkeypatch.setattr(encoder.interpreter, "invoke", fail)
    with pytest.raises(BackendError, match=r"\(Failed to execute request\)"):
        encoder.embed(image)


def test_a_classifier_takes_the_same_options(bundle: Bundle, delegate: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Classifier.load(bundle, tmp_path / "store.db", delegate=delegate, delegate_options={"log": str(log)}) as classifier:
        classifier.enroll("ink", np.zeros((1, 28, 28), np.uint8))
    assert "prepare " in log.read_text()
    with pytest.warns(FallbackWarning):
        Classifier.load(bundle, tmp_path / "store.db", delegate="libnosuch.so", fallback="cpu").close()


# On the command line


@pytest.mark.parametrize("verb", ["enroll", "classify", "benchmark", "evaluate"])
def test_every_verb_that_runs_an_encoder_takes_a_delegate(delegate: Path, tmp_path: Path, verb: str) -> None:
    image, log, store = (
        png(tmp_path, "ink.png", np.zeros((28, 28), np.uint8)),
        tmp_path / "log",
        ["--store", tmp_path / "store.db"],
    )
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 28, 28), np.uint8), y=[0, 0, 1, 1])
    cli("enroll", "omniglot", "ink", image, *store)
    protocol = ["--split", "all", "--way", 2, "--query", 1, "--episodes", 2]
    rest = {
        "enroll": ["ink", image, *store],
        "classify": [image, *store],
        "benchmark": ["--runs", 1, "--warmup", 0, "--no-sweep"],
        "evaluate": ["--dataset", f"npz:{tmp_path / 'x.npz'}", *protocol],
    }[verb]
    told = ["--delegate-option", f"log={log}", "--delegate-option", "device=a=b"]
    cli(verb, "omniglot", *rest, "--delegate", delegate, *told)
    assert log.read_text().splitlines()[:2] == [f"log {log}", "device a=b"]


def test_the_command_line_falls_back_with_a_note(
    delegate: Path, tmp_path: Path) -> None:  # fmt: skip
    image = png(tmp_path, "ink.png", np.zeros((28, 28), np.uint8))
    arguments = [
        "enroll", "omniglot", "ink", image, "--store", tmp_path / "store.db", "--json",
        "--delegate", delegate, "--delegate-option", "refuse=no device",
    ]  # fmt: skip
    assert "does not start (no device)" in complaint(cli(*arguments, code=1))
    assert not (tmp_path / "store.db").exists()
    result = cli(*arguments, "--fallback", "cpu")
    assert json.loads(result.stdout)["added"] == 1
    assert result.stderr.startswith("Note: ")
    assert result.stderr.count("\n") == 1
    assert cli(*arguments, "--delegate-option", "=x", code=2).stdout == ""


def test_a_failed_delegate_leaves_no_traceback(delegate: Path, tmp_path: Path) -> None:
    image = png(tmp_path, "ink.png", np.zeros((28, 28), np.uint8))
    for options in (["nosuch.so"], [delegate, "--delegate-option", "refuse=it"]):
        done = python(
            tmp_path, "-m", "edge_meta", "enroll", "omniglot", "ink", image, "--store", "store.db", "--delegate", *options
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("Error: ")


# XNNPACK


def test_xnnpack_can_be_switched_off(bundle: Bundle, image: NDArray[np.float32]) -> None:
    default, plain = Encoder(bundle.model), Encoder(bundle.model, RuntimeOptions(xnnpack=False))
    assert "CONV_2D" in plain.operators()
    assert "DELEGATE" not in plain.operators()
    assert plain.embed(image).shape == default.embed(image).shape
