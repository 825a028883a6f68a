"""The page in a real browser, as a person uses it. `make check-page` runs this.

Needs chromium, and the folder EDGE_META_LITERTJS, in which npm has installed LiteRT.js, esbuild-wasm, playwright-core,
axe-core and puppeteer-core, which drives firefox-esr where it is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.device import tone, wav
from support.motions import motion, stream

from converters import bundle_writer
from converters.targets import export_target
from converters.targets.web.litert_js import LiteRtJs
from converters.targets.web.server import Server
from converters.tflite.model import ModelFile
from edge_meta import Classifier
from edge_meta.datasets import cache
from edge_meta.inputs import AudioInput
from edge_meta.inputs.resizing import resize
from edge_meta.runtime.bundle import MANIFEST, MODEL, Bundle
from edge_meta.runtime.manifest import Manifest
from edge_meta.store.archive import read_archive, write_archive

LITERT_JS, CHROMIUM = os.environ.get("EDGE_META_LITERTJS"), shutil.which("chromium")
FIREFOX = shutil.which("firefox-esr")
pytestmark = pytest.mark.skipif(
    not (LITERT_JS and CHROMIUM and shutil.which("node")),
    reason="there is no chromium, or no LiteRT.js and playwright-core; run: make check-page",
)
SCENARIOS = Path(__file__).parent / "scenarios.mjs"


@pytest.fixture(scope="module", params=["omniglot"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return made(request.param, tmp_path_factory.mktemp("site") / "site")


def made(bundle: str | Bundle, folder: Path) -> Bundle:
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    return export_target(opened, folder, "web", litert_js=LiteRtJs(Path(LITERT_JS or "")))


@contextmanager
def running(server: BaseServer) -> Iterator[None]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@contextmanager
def served(site: Bundle) -> Iterator[str]:
    server = Server(site)
    with running(server):
        yield server.address


class PlainHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""


@contextmanager
def served_plainly(site: Bundle) -> Iterator[str]:
    """A site on a host that sends no headers of its own, so that the page has one thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(PlainHandler, directory=str(site.path)))
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}/"


def seen(scenario: str, site: Bundle, folder: Path, **asked: Any) -> dict[str, Any]:
    """Play a scenario on a site; returns what was seen."""
    return printed([SCENARIOS, scenario], site, folder, **asked)


def printed(script: list[Path | str], site: Bundle, folder: Path, **asked: Any) -> dict[str, Any]:
    """Run a script of node on a site; returns the JSON that it prints."""
    with served(site) as address:
        return printed_at(address, script, folder, **asked)


def printed_at(address: str, script: list[Path | str], folder: Path, **asked: Any) -> dict[str, Any]:
    """Run a script of node on an address; returns the JSON that it prints."""
    node_modules = str(Path(LITERT_JS or "").resolve() / "node_modules")
    fields = {"address": address, "chromium": CHROMIUM, "node_modules": node_modules, **asked}
    (folder / "asked.json").write_text(json.dumps(fields))
    command = ["node", *script, folder / "asked.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_drawings_are_taught_asked_undone_and_kept_offline(site: Bundle, tmp_path: Path) -> None:
    found = seen("drawings", site, tmp_path, archive=str(tmp_path / "page.npz"))
    assert found["problems"] == found["axe"] == found["axeDialog"] == found["axeDark"] == []
    assert found["empty"] == "Teach it something first"
    assert found["classes"] == [["tee", 3], ["zed", 3], ["ring", 3]]
    assert found["fresh"] == ["tee", "zed", "ring", "I don’t know this"]
    assert found["none"][0] == "None of these: 1 more, 1 in all."
    assert found["none"][1][3:] == [["None of these", 1]]
    assert found["none"][2:] == ["I don’t know this", "Took back 1 examples."]
    assert found["unadapted"] == "Took the adaptation back."
    assert found["undone"] == ["Took back 1 examples.", [["tee", 3], ["zed", 3], ["ring", 2]]]
    assert found["changed"] == [[["<b>zed</b>", 3], ["ring", 2]], 0]
    assert found["offline"] == [found["changed"][0], "ring", "<b>zed</b>"]
    read_archive(tmp_path / "page.npz", tmp_path / "b.db", site.manifest.encoder_id, site.manifest.dim)
    with Classifier.load("omniglot", tmp_path / "b.db") as classifier:
        assert classifier.labels == ["tee", "zed", "ring"]
        for shape in ("tee", "zed", "ring"):
            assert classifier.classify(drawing(shape)).best.label == shape


def drawing(shape: str) -> np.ndarray:
    """A shape as it is drawn on the pad."""
    paper = Image.new("L", (420, 420), 255)
    for stroke in json.loads(SCENARIOS.with_name("shapes.json").read_bytes())[shape]:
        ImageDraw.Draw(paper).line([(420 * x, 420 * y) for x, y in stroke], fill=0, width=14, joint="curve")
    return np.asarray(paper)


def test_two_tabs_share_one_store(site: Bundle, tmp_path: Path) -> None:
    found = seen("tabs", site, tmp_path)
    assert found["problems"] == []
    assert found["undone"] == "Took back 1 examples."
    assert found["left"] == [[["tee", 1]], [["tee", 1]]]


def test_the_keyboard_teaches_and_all_targets_are_large(site: Bundle, tmp_path: Path) -> None:
    found = seen("keyboard", site, tmp_path)
    assert found["problems"] == found["small"] == []
    assert (found["focused"], found["classes"]) == ("hold", [["zed", 1]])


def test_archives_come_in_and_bad_ones_change_nothing(site: Bundle, tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "a.db") as classifier:
        classifier.enroll("kept", np.stack([drawing("ring"), drawing("zed")]))
        write_archive(classifier.store, tmp_path / "good.npz")
    with Classifier.load("objects", tmp_path / "other.db") as other:
        other.enroll("cup", np.zeros((1, 8, 8, 3), np.uint8))
        write_archive(other.store, tmp_path / "other.npz")
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    archives = [str(tmp_path / f"{name}.npz") for name in ("cut", "other", "good", "good")]
    found = seen("archives", site, tmp_path, archives=archives, archive=str(tmp_path / "page.npz"))
    assert found["problems"] == []
    assert found["classes"] == [[["tee", 1]], [["tee", 1]], [["tee", 1], ["kept", 2]], [["tee", 1], ["kept", 2]]]
    assert "it is damaged" in found["said"][0]
    assert "another encoder" in found["said"][1]
    assert found["said"][2:] == ["Loaded: 2 examples came, 0 went.", "Loaded: 0 examples came, 0 went."]
    read_archive(tmp_path / "page.npz", tmp_path / "b.db", site.manifest.encoder_id, site.manifest.dim)


def pictures(folder: Path, size: tuple[int, int]) -> list[str]:
    """Images as cameras and programs write them: turned by EXIF, transparent, in a palette, gray; one of a given size."""
    rng, made = np.random.default_rng(0), []
    for index, (height, width) in enumerate([(300, 420), (97, 61), (640, 640), (240, 500), size]):
        smooth = resize(rng.integers(0, 256, (9, 9, 3)).astype(np.uint8), height, width)
        image = Image.fromarray(smooth)
        exif = Image.Exif()
        exif[0x0112] = 6 if index == 0 else 1
        if index == 1:
            image.putalpha(Image.fromarray(resize(rng.integers(0, 256, (5, 5, 1)).astype(np.uint8), height, width)[..., 0]))
        image = image.convert("P") if index == 2 else image.convert("L") if index == 3 else image
        suffix = "jpg" if index == 0 else "png"
        image.save(folder / f"{index}.{suffix}", exif=exif, **({"quality": 95, "subsampling": 0} if index == 0 else {}))
        made.append(str(folder / f"{index}.{suffix}"))
    return made


@pytest.mark.filterwarnings("ignore:.*is a colour photo")
@pytest.mark.parametrize("bundle", ["omniglot", "objects"])
def test_files_are_embedded_as_the_runtime_embeds_them(tmp_path: Path, bundle: str) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    site = made(bundle, tmp_path / "site")
    height, width, _ = site.manifest.input_spec.shape
    files, archive = pictures(tmp_path, (height, width)), tmp_path / "page.npz"
    found = seen("files", site, tmp_path, files=files, bad=[str(tmp_path / "bad.png")], archive=str(archive))
    assert found["problems"] == []
    assert found["classes"] == [["some", 5]]
    assert found["said"][1].startswith("bad.png is not an image")
    read_archive(archive, tmp_path / "b.db", site.manifest.encoder_id, site.manifest.dim)
    with Classifier.load(bundle, tmp_path / "b.db") as classifier:
        expected = np.stack([classifier.embed(file) for file in files])
        embeddings, _ = classifier.store.first_shots(["some"], 5)
    step = np.diff(np.unique(expected)).min()  # of the quantized embedding
    assert np.abs(embeddings[-1] - expected[-1]).max() <= 1.01 * step
    # Resizing rounds some pixels to the other of two values, and decoders of JPEG differ.
    lengths = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((embeddings * expected).sum(axis=1) / lengths).min() >= 0.99


def video(path: Path, striped: bool) -> Path:
    """A film of one thing that moves a little, 4:2:0: a disc, or green stripes all over."""
    down, across = np.mgrid[:240, :320]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F10:1 Ip A1:1 C420\n")
        for frame in range(10):
            scene = np.full((240, 320, 3), 200, np.uint8)
            scene[(down - 120) ** 2 + (across - 155 - frame) ** 2 < 70**2] = (190, 40, 30)
            if striped:
                scene = np.where(((down + across + frame) // 12 % 2 == 0)[..., None], (20, 130, 60), (240, 250, 240)).astype(
                    np.uint8
                )
            luma, blue, red = (np.asarray(part) for part in Image.fromarray(scene).convert("YCbCr").split())
            file.write(b"FRAME\n" + luma.tobytes() + blue[::2, ::2].tobytes() + red[::2, ::2].tobytes())
    return path


def test_the_camera_teaches_an_object_and_rejects_another(tmp_path: Path) -> None:
    site = made("objects", tmp_path / "site")
    archive, picture = str(tmp_path / "object.npz"), str(tmp_path / "camera.png")
    first = seen("camera", site, tmp_path, video=str(video(tmp_path / "a.y4m", False)), archive=archive, screenshot=picture)
    assert first["problems"] == first["axe"] == []
    assert (first["first"], first["verdict"]) == ("Teach it something first", "object")
    assert first["classes"][0][1] >= 3
    other = seen(
        "camera", site, tmp_path, video=str(video(tmp_path / "b.y4m", True)), archives=[archive], screenshot=picture
    )
    assert other["verdict"] == "I don’t know this"
    denied = seen("refused", site, tmp_path, flags=["--deny-permission-prompts", "--use-fake-device-for-media-stream"])
    assert "does not let this page use the camera" in denied["said"]
    assert "There is no camera" in seen("refused", site, tmp_path)["said"]


def audio_bundle(folder: Path) -> Bundle:
    """A bundle of recordings of half a second, whose embedding is their level in 25 stretches."""
    import tensorflow as tf

    signature = tf.TensorSpec((1, 8000), tf.float32)
    function = tf.function(
        lambda x: tf.reduce_mean(tf.abs(tf.reshape(x, (1, 25, 320))), axis=2), input_signature=[signature]
    )
    model = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    input_spec = AudioInput(8000)
    encoder_id = ModelFile.parse(model).encoder_id(input_spec.to_manifest())
    manifest = Manifest(encoder_id, {MODEL: hashlib.sha256(model).hexdigest()}, input_spec, 25, "float32", (0.1,))
    bundle_writer.write(folder, {MANIFEST: manifest.to_json().encode(), MODEL: model})
    return Bundle.open(folder)


def test_the_microphone_teaches_a_sound(tmp_path: Path) -> None:
    site = made(audio_bundle(tmp_path / "audio.bundle"), tmp_path / "site")
    sound = wav(tmp_path, tone(440, 16000, 32000).astype("<i2").tobytes())
    found = seen("microphone", site, tmp_path, sound=str(sound))
    assert found["problems"] == found["axe"] == []
    assert (found["verdict"], found["classes"]) == ("tone", [["tone", 2]])


def test_the_encoder_runs_at_the_fastest_place_from_then_on(site: Bundle, tmp_path: Path) -> None:
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]  # a GPU that is a program
    found = seen("places", site, tmp_path, flags=flags)
    assert found["problems"] == []
    assert found["isolated"]
    assert found["id"] == site.manifest.encoder_id
    places = {(each["place"]["accelerator"], each["place"]["threads"]): each for each in found["measured"]}
    assert ("wasm", 1) in places
    assert any(threads > 1 for _, threads in places) == ((os.cpu_count() or 1) > 1)
    assert places["webgpu", 1]["difference"] <= 0.02
    chosen = places[found["place"]["accelerator"], found["place"]["threads"]]
    assert chosen["milliseconds"] <= places["wasm", 1]["milliseconds"]
    threads = found["place"]["threads"]
    said = (
        "on the GPU"
        if found["place"]["accelerator"] == "webgpu"
        else f"on {threads} threads"
        if threads > 1
        else "WebAssembly."
    )
    assert said in found["again"][0]
    assert found["again"][1]
    assert found["verdict"] == "tee"


def recordings(word: str, count: int) -> list[np.ndarray]:
    """Recordings of a word by different speakers, int16 (16000,)."""
    import soundfile

    archive = cache.folder() / "speech_commands" / "speech_commands_test_part.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    found: list[np.ndarray] = []
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(name for name in opened.namelist() if name.startswith(f"{word}/") and "_nohash_0" in name):
            samples, _ = soundfile.read(io.BytesIO(opened.read(name)), dtype="int16")
            if len(samples) == 16000 and len(found) < count:
                found.append(samples)
    return found


def test_a_word_is_taught_by_the_microphone_and_heard_live(tmp_path: Path) -> None:
    site, archive = made("keywords", tmp_path / "site"), str(tmp_path / "words.npz")
    taught, *others = recordings("go", 4)
    with Classifier.load("keywords", tmp_path / "a.db") as classifier:
        classifier.enroll("yes", recordings("yes", 4))
        write_archive(classifier.store, tmp_path / "yes.npz")
    again = {"archives": [str(tmp_path / "yes.npz")], "label": "go", "archive": archive}
    found = seen("words", site, tmp_path, sound=str(wav(tmp_path, taught.tobytes())), **again)
    assert found["problems"] == found["axe"] == []
    assert sorted(found["classes"]) == [["go", 3], ["yes", 4]]
    assert (found["heard"], found["button"], found["stopped"]) == ("go", "Stop listening", "Listen all the time")
    read_archive(tmp_path / "words.npz", tmp_path / "b.db", site.manifest.encoder_id, site.manifest.dim)
    with Classifier.load("keywords", tmp_path / "b.db") as classifier:
        assert [classifier.classify(each).top[0].label for each in (taught, *others)].count("go") >= 3
        known = recordings("yes", 4)[0]
    sound = str(wav(tmp_path, known.tobytes()))
    assert seen("words", site, tmp_path, sound=sound, archives=[archive])["heard"] == "yes"


def test_a_motion_is_taught_by_sensors_and_named(tmp_path: Path) -> None:
    site, archive = made("gestures", tmp_path / "site"), tmp_path / "motions.npz"
    kinds = ((0, "circle"), (2, "zigzag"))

    def rows(kind: int, take: int) -> list[list[float]]:
        return stream([(kind, 1.5)], first_take=take)[1].tolist()

    times, values, ((start, end), *_) = stream([(0, 1.5)])
    moving = (times >= start) & (times < end)
    values[moving] = np.random.default_rng(0).normal(0, 3, (moving.sum(), 6))
    found = seen(
        "motions", site, tmp_path, still=values[:100].tolist(), archive=str(archive),
        taught=[[label, [rows(kind, take) for take in range(3)]] for kind, label in kinds],
        asked=[rows(0, 7), rows(2, 7), values.tolist()],
    )  # fmt: skip
    assert found["problems"] == found["axe"] == []
    assert found["early"] == "Start the motion sensors first."
    assert found["classes"] == [["circle", 3], ["zigzag", 3]]
    assert found["answers"] == ["circle", "zigzag", "I don’t know this"]
    read_archive(archive, tmp_path / "store.db", site.manifest.encoder_id, site.manifest.dim)
    with Classifier.load("gestures", tmp_path / "store.db") as classifier:
        assert [classifier.classify(motion(kind, 8)).best.label for kind, _ in kinds] == ["circle", "zigzag"]


@pytest.mark.skipif(FIREFOX is None, reason="there is no firefox-esr")
def test_firefox_teaches_asks_and_keeps(site: Bundle, tmp_path: Path) -> None:
    # On one thread: with WebDriver attached, every tenth start of LiteRT.js's threads in Firefox 153 hangs, and none of 130
    # without it.
    with served_plainly(site) as address:
        found = printed_at(address, [SCENARIOS.with_name("firefox.mjs")], tmp_path, firefox=FIREFOX)
    assert found["problems"] == []
    assert found["status"] == "Ready, also without a network. Nothing leaves this device."
    assert found["taught"] == [["tee", "zed"], "tee", "zed", "I don’t know this"]
    assert [each["place"] for each in found["place"]] == [{"accelerator": "wasm", "threads": 1}]
    assert found["reloaded"] == [["tee", "zed"], "tee"]


def test_a_full_memory_refuses_a_change_and_loses_nothing(site: Bundle, tmp_path: Path) -> None:
    with site.open_store(tmp_path / "a.db") as store:
        store.enroll("many", np.random.default_rng(0).normal(size=(10_000, site.manifest.dim)).astype(np.float32))
        write_archive(store, tmp_path / "large.npz")  # of 4.5 MB, where the page may have one more
    found = seen("quota", site, tmp_path, large=str(tmp_path / "large.npz"))
    assert found["problems"] == []
    assert "memory is full: this change was not kept" in found["full"][0]
    assert found["full"][1] == [["tee", 1]]
    assert found["after"] == [["tee", 2]]
    assert found["free"] == ["Loaded: 10000 examples came, 0 went.", [["tee", 2], ["many", 10_000]]]


def test_a_browser_that_keeps_nothing_says_so_and_works(site: Bundle, tmp_path: Path) -> None:
    found = seen("unkept", site, tmp_path, profile=str(tmp_path / "profile"), archive=str(tmp_path / "page.npz"))
    assert found["problems"] == []
    assert "keeps nothing: save your classes" in found["status"]
    assert (found["verdict"], found["classes"]) == ("tee", [["tee", 1], ["zed", 1]])
    assert found["reloaded"] == [[], "Loaded: 2 examples came, 0 went.", [["tee", 1], ["zed", 1]]]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [("--jitless", "has no WebAssembly"), ("--no-enable-sse4-1 --no-enable-ssse3", "has no SIMD")],
)
def test_a_browser_that_cannot_run_the_encoder_says_so(site: Bundle, tmp_path: Path, flags: str, sentence: str) -> None:
    assert sentence in seen("refused", site, tmp_path, flags=[f"--js-flags={flags}"])["status"]


RUNTIMES = [f"litert_wasm{build}_internal.wasm" for build in ("", "_threaded")]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def other_version(content: bytes) -> bytes:
    """A WebAssembly module that is none of the runtime's."""
    return b"\x00asm\x01\x00\x00\x00"


@pytest.mark.parametrize(
    ("names", "damage", "sentence"),
    [
        (["encoder.tflite"], cut, "encoder.tflite is cut short"),
        (RUNTIMES, cut, "runtime does not start"),
        (RUNTIMES, other_version, "runtime does not start"),
        (RUNTIMES[1:], cut, "Ready"),  # the build without threads is there
    ],
)
def test_a_damaged_site_says_so(
    site: Bundle, tmp_path: Path, names: list[str], damage: Callable[[bytes], bytes], sentence: str
) -> None:
    shutil.copytree(site.path, tmp_path / "site")
    for name in names:
        (tmp_path / "site" / name).write_bytes(damage((site.path / name).read_bytes()))
    left = {file: digest for file, digest in site.manifest.files.items() if file.removesuffix(".gz") not in names}
    manifest = replace(site.manifest, files=left | dict.fromkeys(names, ""))
    assert sentence in seen("refused", replace(site, path=tmp_path / "site", manifest=manifest), tmp_path)["status"]
