"""Every file and folder of a store damaged in every way: it is named, and the loop goes on where it can."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aftertone.errors import StoreError
from aftertone.export import export_model
from aftertone.pipeline.steps import LearningSteps
from aftertone.server.predict import predict
from aftertone.settings import Settings
from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone.store.records import Connection, Problem, Warnings
from aftertone_model.errors import DamagedFileError
from tests.unit.aftertone.loops import ARCHIVE, MemoryLoop, old_loop, unpack

ROOT = "model/projects/1/"
CLIP = "9843a5a34684abf3dadcf004"  # labelled, and trained on
OLD_LAYERS, LAYERS = (f"pool/layers/{name}" for name in ("d9a8bd762b214fb1", "97747837b58846d0"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(np.random.default_rng(0).integers(128, 256, size, np.uint8).tobytes())


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("a folder in a file's place")


def lose(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def hollow(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def make_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file in a folder's place")


DAMAGES = [truncate, empty, garble]


def names() -> list[str]:
    """Every file of the store, but of those that hold one clip or one block of clips only one of each kind."""
    with tarfile.open(ARCHIVE) as archive:
        files = [entry.name for entry in archive if entry.isfile() and entry.name.startswith(ROOT)]
    inside = [name.removeprefix(ROOT) for name in files]
    single = [name for name in inside if not name.startswith("pool/") or name == "pool/index.tsv"]
    per_clip = [name for name in inside if name.endswith(f"{CLIP}.npy")]
    block = sorted(name for name in inside if name.startswith("pool/layers/"))[:2]
    assert (len(per_clip), block[0][:-5]) == (2, block[1][:-4])
    layers = [name.replace(OLD_LAYERS, LAYERS) for name in block]
    return sorted([*single, *per_clip, *layers, "problem.json"])


LOST = ("connection.json", "round.json")  # people's or history's: these can't be made again
UNREAD = ("rounds/000/scores.csv", "rounds/001/scores.csv", "/model/")  # the loop goes on without a look at them
FILES = [name for name in names() if not name.endswith(LOST) and not any(part in name for part in UNREAD)]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = unpack(tmp_path_factory.mktemp("store"))
    (folder / ROOT / OLD_LAYERS).rename(folder / ROOT / LAYERS)
    for block in (folder / ROOT / LAYERS).glob("*.npy"):  # only the layers' means were kept then
        means = np.load(block)
        means = np.concatenate([means[:, :1], means], axis=1)
        np.save(block, np.concatenate([means, np.ones_like(means), np.zeros_like(means), means / 9], axis=-1))
    return folder


@pytest.fixture
def loop(unpacked: Path, tmp_path: Path, settings: Settings) -> MemoryLoop:
    shutil.copytree(unpacked, tmp_path / "store")
    loop = old_loop(tmp_path / "store", settings)
    loop.store.save(Problem(message="Long ago.", step="train", times=1, at=0.0))
    loop.label(3)
    return loop


def warnings(loop: MemoryLoop) -> str:
    return "\n".join(loop.store.get(Warnings).warnings)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_what_can_be_made_again_is(loop: MemoryLoop, name: str, damage: Callable[[Path], None]) -> None:
    path = loop.store.folder / name
    if "pool/features" in name:
        shutil.rmtree(loop.store.folder / "pool/layers")  # else nobody would read it
    elif "pool/clips" in name:
        shutil.rmtree(loop.store.folder / "pool/layers")
        shutil.rmtree(loop.store.folder / "pool/features")
    damage(path)
    if name == "progress.json":
        status(Store(loop.settings.model_dir))  # the loop only writes it
    elif name == "rounds/002/scores.csv":
        (answer,) = predict(loop.store, [(10, True)], loop.label_studio.state["project"]["label_config"], loop.settings)
        assert (answer["result"], answer["model_version"]) == ([], "hidden-002-40f32c")
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (3, 18)

    if not (damage is truncate and name in ("current", "pool/index.tsv")):  # what is left of these is right
        aside = "adapted" if name.startswith("adapted/") else name
        assert f"{aside} was damaged and set aside as {aside}.corrupt. " in warnings(loop)
        assert (loop.store.folder / f"{aside}.corrupt").exists()
        (shown,) = status(Store(loop.settings.model_dir)).projects
        assert f"{aside}.corrupt" in describe(shown)
    again = {"sources.json": 30, f"pool/clips/{CLIP[:2]}/{CLIP}.npy": 1}
    assert len(loop.fetcher.fetched) == again.get(name, 0)
    if name == "exam.json":
        trained = {clip for record in loop.store.rounds() for clip in record.labelled}
        tested = {clip for record in loop.store.rounds() for clip in record.tested}
        assert not trained & (tested | loop.store.load().test_clips)


@pytest.mark.parametrize("damage", [lose, make_folder])
@pytest.mark.parametrize("kind", ["pool", "adapted", "records"])
def test_files_that_are_lost_or_became_folders_are_made_again(
    loop: MemoryLoop, kind: str, damage: Callable[[Path], None]
) -> None:
    for name in FILES:
        if name.startswith(kind) or (kind == "records" and "/" not in name):
            damage(loop.store.folder / name)
    if kind == "pool":
        shutil.rmtree(loop.store.folder / "pool/layers")
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (3, 18)
    assert len(loop.fetcher.fetched) == {"pool": 1, "adapted": 0, "records": 30}[kind]
    shown = describe(status(Store(loop.settings.model_dir)).projects[0])
    assert ("set aside" in shown) == (damage is make_folder or kind == "adapted")  # an empty folder is left of that


NAMED = ["pool/features/1abdcab955bd374a", "pool/features/1abdcab955bd374a/98", LAYERS]
FOLDERS = ["pool", "pool/clips", "pool/clips/98", "pool/features", "pool/layers", "adapted", *NAMED]
LOSSES = [(name, damage) for name in ("pool", "pool/clips/98", "adapted") for damage in (hollow, lose)]


@pytest.mark.parametrize(("name", "damage"), [*((name, make_file) for name in FOLDERS), *LOSSES])
def test_a_folder_that_can_be_made_again_is(loop: MemoryLoop, name: str, damage: Callable[[Path], None]) -> None:
    folder = loop.store.folder
    if name != "adapted":
        shutil.rmtree(folder / "pool/layers")  # else nobody would read the others
        (folder / LAYERS).mkdir(parents=True)
    if name.startswith("pool/clips"):
        shutil.rmtree(folder / "pool/features")
    damage(folder / name)
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (3, 18)
    told = damage is make_file or (name, damage) == ("adapted", hollow)  # what is simply gone leaves nothing to tell of
    assert (f"{name} was damaged and set aside as {name}.corrupt. " in warnings(loop)) == told
    lost = {"pool": 30, "pool/clips": 30, "pool/clips/98": 1}
    assert len(loop.fetcher.fetched) == len(set(loop.fetcher.fetched)) == lost.get(name, 0)


def test_a_pool_that_is_lost_is_fetched_again_in_one_go(loop: MemoryLoop, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(loop.store.folder / "pool")
    caplog.set_level("INFO")
    loop.advance()
    loop.check_queue()
    begun = [vars(record)["step"] for record in caplog.records if getattr(record, "action", "") == "step_begun"]
    assert begun == ["train", "fetch audio", "train", "rank the pool", "publish the queue"]
    assert len(loop.fetcher.fetched) == 30


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in ("rounds", "rounds/002") for damage in (make_file, hollow, lose)],
)
def test_rounds_that_are_lost_are_told_of_or_gone_without(
    loop: MemoryLoop, name: str, damage: Callable[[Path], None]
) -> None:
    damage(loop.store.folder / name)
    loop.advance()
    if damage is hollow and name != "rounds":
        assert f"{name}/round.json is damaged. Restore it from a backup, or remove the round's folder" in loop.problem
        lose(loop.store.folder / name)
        loop.advance()
    elif damage is make_file:
        assert "restore" in warnings(loop)
    loop.check_queue()
    assert loop.last.labels == 18


def test_a_file_in_the_projects_place_is_named(loop: MemoryLoop, caplog: pytest.LogCaptureFixture) -> None:
    folder = loop.store.folder
    make_file(folder)
    loop.advance()
    assert "A file lies where a folder belongs. Move it away" in caplog.text
    assert str(folder) in caplog.text
    assert folder.is_file()
    assert status(Store(loop.settings.model_dir)).projects == ()
    assert loop.store.current is None


def test_a_lost_connection_is_told_of_and_the_loop_goes_on(loop: MemoryLoop) -> None:
    lose(loop.store.folder / "connection.json")
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 18
    assert "connection.json is missing" in warnings(loop)
    assert "Validate and Save" in warnings(loop)
    assert Store(loop.settings.model_dir).projects() == [1]
    remedy_connection(loop)
    loop.advance()
    assert "connection.json" not in warnings(loop)


def test_stray_files_are_ignored_and_left_alone(loop: MemoryLoop) -> None:
    root = loop.settings.model_dir
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    strays = [
        folder / name
        for folder in folders
        for name in (".DS_Store", "Thumbs.db", "round.json~", ".#current", "._0.json", "4.bak")
    ]
    (root / "projects" / "notes").mkdir()
    for stray in strays:
        stray.write_bytes(b"\0\xff")
    (root / "projects" / "02").mkdir()
    (loop.store.folder / "rounds" / "2").mkdir()
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (3, 18)
    assert all(stray.read_bytes() == b"\0\xff" for stray in strays if "rounds/001" not in str(stray))
    assert Store(root).projects() == [1]
    assert not list(root.rglob("*.corrupt"))


@pytest.mark.parametrize(
    "changes",
    [
        {"problem.json": ('"at": 0.0', '"at": 1e300'), "quiet.json": ('"since": ', '"since": 9e')},
        {"problem.json": ('"times": 1', '"times": -' + "9" * 3000), "current": ("3", "-7")},
        {"sources.json": ('"seconds": 0.25', '"seconds": NaN'), "rounds/003/scores.csv": (",0.", ",7.")},
        {"tasks.json": ('"updated_at": "2026', '"updated_at": "x'), "sources.json": ('"at": ', '"at": 9e30')},
        {"tasks.json": ('"updated_at": "2026', '"updated_at": "0001'), "current": ("3", "9" * 5000)},
    ],
)
def test_numbers_that_fit_nowhere_hold_nothing_up(loop: MemoryLoop, changes: dict[str, tuple[str, str]]) -> None:
    loop.advance()  # so that all records are in today's form
    loop.label(6)
    loop.store.save(Problem(message="Long ago.", step="train", times=1, at=0.0))
    for name, (old, new) in changes.items():
        text = (loop.store.folder / name).read_text()
        assert old in text
        (loop.store.folder / name).write_text(text.replace(old, new))
    (answer,) = predict(loop.store, [(10, True)], loop.label_studio.state["project"]["label_config"], loop.settings)
    assert 0 <= answer["score"] <= 1
    describe(status(Store(loop.settings.model_dir)).projects[0])
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (4, 24)


def test_a_round_in_anothers_folder_is_named(loop: MemoryLoop) -> None:
    shutil.copy(loop.store.folder / "rounds/001/round.json", loop.store.folder / "rounds/002/round.json")
    loop.advance()
    assert "rounds/002/round.json is damaged" in loop.problem


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_earlier_rounds_left_is_not_needed(loop: MemoryLoop, damage: Callable[[Path], None]) -> None:
    for name in names():
        if any(part in name for part in UNREAD):
            damage(loop.store.folder / name)
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 18


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["draft.json", "model/config.json", "model/model.safetensors"])
def test_a_damaged_next_round_is_trained_again(
    loop: MemoryLoop, name: str, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LearningSteps, "rank", lambda self: 1 / 0)
        loop.advance()
    loop.store.remove(Problem)
    damage(loop.store.folder / "next" / name)
    loop.advance()
    loop.check_queue()
    assert (loop.last.number, loop.last.labels) == (3, 18)
    assert "next was damaged and set aside as next.corrupt. The round is trained again." in warnings(loop)


def remedy_connection(loop: MemoryLoop) -> None:
    config = loop.label_studio.state["project"]["label_config"]
    loop.store.connect(Connection(project=1, label_config=config, extra_params={"strategy": "margin"}))


def remove(name: str) -> Callable[[MemoryLoop], None]:
    def act(loop: MemoryLoop) -> None:
        path = loop.store.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


@pytest.mark.parametrize("damage", [*DAMAGES, make_folder])
@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("connection.json", "no model is connected to the project there any more", remedy_connection),
        ("rounds/000/round.json", "remove the round's folder", remove("rounds/000")),
        ("rounds/001/round.json", "remove the round's folder", remove("rounds/001")),
        ("rounds/002/round.json", "remove the round's folder", remove("rounds/002")),
    ],
)
def test_what_cannot_be_made_again_is_named_with_its_remedy(
    loop: MemoryLoop,
    name: str,
    said: str,
    remedy: Callable[[MemoryLoop], None],
    damage: Callable[[Path], None],
) -> None:
    damage(loop.store.folder / name)
    loop.advance()
    assert str(loop.store.folder / name) in loop.problem
    assert said in loop.problem
    assert "bug" not in loop.problem
    assert name in describe(status(Store(loop.settings.model_dir)).projects[0])
    assert loop.label_studio.queue()  # annotators go on in the published order
    remedy(loop)
    loop.advance()
    loop.check_queue()
    assert loop.last.labels == 18


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_connection_is_read_from_label_studio_again(loop: MemoryLoop, damage: Callable[[Path], None]) -> None:
    loop.label_studio.state["models"] = [{"url": "http://backend:9090", "extra_params": '{"strategy": "margin"}'}]
    damage(loop.store.folder / "connection.json")
    loop.advance()
    loop.check_queue()
    connection = loop.store.read(Connection)
    assert connection is not None
    assert connection.extra_params == {"strategy": "margin"}


def test_damaged_weights_of_a_round_are_named_by_export(loop: MemoryLoop, tmp_path: Path) -> None:
    garble(loop.store.folder / "rounds/002/model/model.safetensors")
    with pytest.raises(DamagedFileError, match="rounds/002/model is damaged and was set aside"):
        export_model(loop.store, loop.settings, tmp_path / "out")
    assert export_model(loop.store, loop.settings, tmp_path / "out").number == 1


def test_a_store_of_a_newer_version_is_left_alone(loop: MemoryLoop) -> None:
    path = loop.store.folder / "sources.json"
    path.write_text('{"schema_version": 2, "more": {}}')
    with pytest.raises(StoreError, match="newer Aftertone"):
        loop.store.load()
    assert path.exists()
