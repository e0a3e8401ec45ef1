"""A folder by its URL: the same build as of the same folder on a disk, and every way in which a store can fail."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from conftest import SMALL, picture, run_cli, write_folder

from simsearch.errors import ImageError, SourceError
from simsearch.home import Home
from simsearch.images.formats.decoding import FIRST, PRESENT
from simsearch.images.sources import store as stores
from simsearch.images.sources.again import read_again, written
from simsearch.images.sources.folders import open_folder
from simsearch.images.sources.remote import RemoteReader, open_remote
from simsearch.images.sources.store import Store
from simsearch.images.sources.urls import checked_url, name_of, shown_url
from simsearch.images.sources.walk import Picking

QUICK = ["embedder.backbone=mnist_cnn", "embedder.weights=none", "training.epochs=0", "evaluation.map=false"]
QUICK = [word for key in (*QUICK, "evaluation.baseline=false") for word in ("--set", key)]
EVERY = Picking()


@pytest.fixture
def memory():
    """An empty store in memory."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No test waits between two tries."""
    monkeypatch.setattr(stores, "WAITS", (0.0, 0.0))


def put(store, folder, name="photos"):
    """Copy a folder into a store, and return its URL there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.pipe_file(f"/{name}/{path.relative_to(folder)}", path.read_bytes())
    return f"memory://{name}"


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder and its pages; `failing` says how often a path answers 503 yet, `asked` what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.failing.get(self.path, 0):
            self.server.failing[self.path] -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *words):
        pass


@pytest.fixture
def web(tmp_path):
    """A server of a folder `web`, its URL and the folder in `url` and `folder`."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.failing, server.asked, server.folder = {}, [], folder
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def features_of(home, name):
    build = Home(home).build(name)
    return Home(home).store.path("embed", build.record.stages["embed"]["digest"]) / "features.h5"


def told(home, name):
    """What a report says of figures."""
    report = json.loads((home / "builds" / name / "report.json").read_bytes())
    keys = ("queries", "gallery", "systems", "comparisons", "per_class", "verification", "near_duplicates", "placebo")
    return {key: report[key] for key in keys}


def test_the_build_of_a_folder_in_a_store_is_that_of_the_folder(photos, memory, tmp_path):
    url = put(memory, photos)
    run_cli("build", photos, *SMALL, "--home", tmp_path / "one", check=0)
    done = run_cli("build", url + "/", *SMALL, "--home", tmp_path / "two", check=0)
    assert "photos: 30 images, 3 labels" in done.stderr
    one, two = (features_of(tmp_path / home, "photos").read_bytes() for home in ("one", "two"))
    assert one == two
    assert told(tmp_path / "one", "photos") == told(tmp_path / "two", "photos")
    again = run_cli("build", url, *SMALL, "--home", tmp_path / "two", check=0)
    assert "photos is up to date" in again.stderr


def test_what_a_build_of_a_store_is_used_for(photos, memory, tmp_path):
    url, home = put(memory, photos), ["--home", tmp_path / "home"]
    run_cli("build", url, *QUICK, *home, check=0)
    memory.store.clear()  # none of these asks the store
    answer = run_cli("query", photos / "class 1" / "03.png", "--json", *home, check=0)
    assert json.loads(answer.stdout.splitlines()[0])["hits"][0]["label"] == "class 1"
    shown = run_cli("query", photos / "class 1" / "03.png", *home, check=0)
    assert f"they lie at {url}" in shown.stderr
    assert url in run_cli("show", "photos", *home, check=0).stdout
    run_cli("export", "photos", "--format", "npy", "--out", tmp_path / "out", *home, check=0)
    refused = run_cli("sync", url, *home, check=2)
    assert f"simsearch build {url} --name photos" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2


def test_a_changed_object_is_built_again(photos, memory, tmp_path):
    url, home = put(memory, photos), ["--home", tmp_path / "home"]
    run_cli("build", url, *QUICK, *home, check=0)
    name = "/photos/class 0/00.png"
    same = memory.cat_file(name)
    memory.pipe_file(name, same)  # written anew: another time, the same bytes, and the same features
    before = features_of(tmp_path / "home", "photos")
    run_cli("build", url, *QUICK, *home, check=0)
    assert features_of(tmp_path / "home", "photos") == before
    picture(2, 77).save(tmp_path / "other.png")
    memory.pipe_file(name, (tmp_path / "other.png").read_bytes())
    done = run_cli("build", url, *QUICK, *home, check=0)
    assert "Built photos" in done.stderr
    assert features_of(tmp_path / "home", "photos") != before


def test_an_object_that_changes_meanwhile_is_refused(photos, memory, monkeypatch, tmp_path):
    url = put(memory, photos)
    real, read = Store.read, []

    def slowly(self, name):
        data = real(self, name)
        if not read:
            memory.pipe_file("/photos/class 2/09.png", data)
        read.append(name)
        return data

    monkeypatch.setattr(Store, "read", slowly)
    done = run_cli("build", url, *QUICK, "--home", tmp_path / "home", check=2)
    assert "'class 2/09.png' changed while it was being read" in done.stderr


def test_an_object_is_what_the_data_set_was_made_of(photos, memory):
    reader = RemoteReader(put(memory, photos), PRESENT)
    digest = reader.sha256("class 0/00.png")
    reader.array("class 0/00.png", sha256=digest)
    memory.pipe_file("/photos/class 0/00.png", memory.cat_file("/photos/class 0/01.png"))
    with pytest.raises(SourceError, match="changed while it was being read"):
        reader.array("class 0/00.png", sha256=digest)
    again = read_again(json.loads(json.dumps(written(reader.under(FIRST)))))
    assert again.data("class 0/01.png") == memory.cat_file("/photos/class 0/01.png")
    assert again.decoding == FIRST


def test_a_picture_that_cannot_be_read_is_set_aside(tmp_path, memory):
    url = put(memory, write_folder(tmp_path / "photos", each=20))
    memory.pipe_file("/photos/class 0/00.png", b"no picture")
    home = tmp_path / "home"
    done = run_cli("build", url, *QUICK, "--home", home, check=0)
    assert "Set aside" in done.stderr
    [table] = home.glob("artifacts/dataset/*/quarantine.csv")
    assert "class 0/00.png" in table.read_text()


def test_what_is_laid_out_and_left_out_is_that_of_a_folder(tmp_path, memory):
    root = write_folder(tmp_path / "photos", labels=2, each=3)
    for name in ("train/a/1.png", "test/a/2.png", "@eaDir/x.png", ".hidden/y.png", "notes.txt", "class 0/masks/m.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "class 0" / "00.png", root / name)
    url = put(memory, root)
    for picking in (EVERY, Picking(exclude=("class 1/**",)), Picking(machine_folders=True), Picking(rules=1)):
        there = open_remote(url, spec=f"folder:{url}", picking=picking, labels=True)
        here = open_folder(str(root), spec="folder:x", picking=picking)
        assert there.images == here.images
        assert there.words() == here.words()
        assert there.rejected == here.rejected


@pytest.mark.parametrize("name", ["a/../x.png", "a//x.png", "./x.png", "a/\0x.png"])
def test_a_name_that_no_file_has_is_refused(name, photos, memory):
    url = put(memory, photos)
    memory.store[f"/photos/{name}"] = memory.store["/photos/class 0/00.png"]
    store = Store(url)
    store._opened[0].ls = lambda path, **how: (
        [{"name": f"/photos/{name}", "type": "file", "size": 3}] if path == "/photos" else []
    )
    try:
        found, _, refused = store.names()
    finally:
        del store._opened[0].ls
    assert not found
    assert [reason for _, reason in refused] == ["no name of a file: it has . or .. or nothing in it"]


def test_links_of_a_disk_are_not_followed(photos):
    (photos / "again").symlink_to(photos)
    source = open_remote(f"file://{photos}", spec="folder:x", picking=EVERY, labels=True)
    assert len(source.images) == 30
    assert "1 link not followed (first: again)" in source.words()


def test_a_folder_by_http(photos, web, tmp_path):
    odd = web.folder / "photos" / "50% & ü"
    shutil.copytree(photos, web.folder / "photos")
    (web.folder / "photos" / "class 2").rename(odd)
    url = f"{web.url}/photos"
    source = open_remote(url, spec=f"folder:{url}", picking=EVERY, labels=True)
    assert {image.label for image in source.images} == {"class 0", "class 1", "50% & ü"}
    assert source.reader().data("50% & ü/03.png") == (odd / "03.png").read_bytes()
    web.failing["/photos/"] = 1  # passes
    run_cli("build", url, *QUICK, "--home", tmp_path / "home", check=0)
    (odd / "03.png").write_bytes((odd / "04.png").read_bytes())
    assert "Built photos" in run_cli("build", url, *QUICK, "--home", tmp_path / "home", check=0).stderr


def test_a_server_that_fails_is_one_line_and_the_same_command_goes_on(photos, web, tmp_path):
    shutil.copytree(photos, web.folder / "photos")
    url, home = f"{web.url}/photos", ["--home", tmp_path / "home"]
    web.failing["/photos/class%200/00.png"] = 3
    done = run_cli("build", url, *QUICK, *home, check=2)
    first, hint = done.stderr.splitlines()[-2:]
    assert first == f"error: cannot read {url}/class 0/00.png: HTTP 503 (3 tries)"
    assert "run the same command again" in hint
    run_cli("build", url, *QUICK, *home, check=0)
    web.asked.clear()
    web.failing["/photos/class%201/"] = 99  # one folder of many: fewer images are not all
    assert f"cannot list {url}/class 1: HTTP 503" in run_cli("build", url, *QUICK, *home, check=2).stderr
    web.failing.clear()
    web.asked.clear()
    assert "up to date" in run_cli("build", url, *QUICK, *home, check=0).stderr
    assert not [path for path in web.asked if path.endswith(".png")]


def test_a_store_that_says_nothing_of_an_object_has_it_read(photos, memory, monkeypatch):
    url = put(memory, photos)
    monkeypatch.setattr(Store, "_tells", lambda self, info: False)
    monkeypatch.setattr(memory, "info", lambda path: {"name": path, "type": "file", "size": None}, raising=False)
    monkeypatch.setattr(stores, "TIMES", ())
    source = open_remote(url, spec="folder:x", picking=EVERY, labels=True)
    listing = source.fingerprint(None)
    promised = source.promised(listing)
    assert promised["class 0/00.png"] == source.reader().sha256("class 0/00.png")
    assert len(promised) == 30
    source.check(listing)


def test_nobody_there(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    done = run_cli("build", f"http://127.0.0.1:{port}/photos", "--home", tmp_path / "home", check=2)
    assert done.stderr.splitlines()[-2] == (
        f"error: cannot list http://127.0.0.1:{port}/photos: Connection refused (3 tries)"
    )
    assert not (tmp_path / "home" / "builds").exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://anna:s3cret@host/photos", "https://***@host/photos"),
        ("https://s3cret@host/photos", "https://***@host/photos"),
        ("sftp://anna:s3cret?x@host/photos", "sftp://***@host/photos"),
        ("https://host/photos?X-Amz-Signature=s3cret", "https://host/photos?***"),
    ],
)
@pytest.mark.parametrize("how", ["argument", "setting"])
def test_a_password_is_refused_and_never_said(url, shown, how, tmp_path):
    words = [url] if how == "argument" else ["digits", "--set", f"dataset.source=folder:{url}"]
    done = run_cli("build", *words, "--home", tmp_path / "home", check=2)
    assert shown in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("url", ["zip://a.zip::s3://b", "simplecache::s3://b/c", "s3://a/s3://b::c"])
def test_one_url_within_another_is_refused(url):
    if "://" in url.partition("::")[0]:
        with pytest.raises(SourceError, match="expected one SCHEME://PLACE"):
            checked_url(url)
    else:
        run_cli("build", url, check=2)


def test_words_of_a_url():
    assert checked_url("S3://bucket/a/") == "s3://bucket/a"
    assert checked_url("file:///") == "file:///"
    assert checked_url("memory://") == "memory://"
    assert shown_url("s3://bucket/@eaDir") == "s3://bucket/@eaDir"
    assert [name_of(url) for url in ("https://h/a%20b", "s3://bucket", "memory://")] == ["a b", "bucket", "memory"]


def test_a_library_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(stores.Store, "each", lambda self, work, items: map(work, items))
    for package, url, why, mend in (
        ("s3fs", "s3://bucket/photos", "s3:// needs s3fs", "pip install s3fs"),
        ("gcsfs", "gs://bucket/photos", "gs:// needs gcsfs", "pip install gcsfs"),
        ("fsspec", "memory://photos", "memory:// needs fsspec", "pip install 'simsearch[remote]'"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            done = run_cli("build", url, "--home", tmp_path / "home", check=2)
        assert done.stderr.splitlines()[-2:] == [f"error: {why}, which is not installed", f"hint: {mend}"]


def test_a_scheme_that_nobody_knows_and_what_is_no_folder(memory, tmp_path):
    home = ["--home", tmp_path / "home"]
    assert "no store is known by s33://; did you mean" in run_cli("build", "s33://bucket/a", *home, check=2).stderr
    assert (
        "cannot list memory://nothing: it is not there" in run_cli("build", "memory://nothing", *home, check=2).stderr
    )
    memory.pipe_file("/list.csv", b"path,label\n")
    assert "is a list" in run_cli("build", "memory://list.csv", *home, check=2).stderr
    memory.pipe_file("/empty/notes.txt", b"1")
    assert "no images in 'memory://empty'" in run_cli("build", "memory://empty", *home, check=2).stderr


def test_what_a_store_says_is_never_repeated():
    class ClientError(Exception):
        pass

    class NoCredentialsError(Exception):
        pass

    for error, words in (
        (ClientError("key=s3cret"), "ClientError"),
        (NoCredentialsError("s3cret"), "no credentials were found"),
        (OSError("s3cret"), "OSError"),
        (TimeoutError("s3cret"), "no answer in"),
        (PermissionError("s3cret"), "access is denied"),
    ):
        said, _, _ = stores.said_of(error)
        assert words in said
        assert "s3cret" not in said


def test_one_object_that_is_denied_is_set_aside_and_not_asked_for_again(photos, memory, monkeypatch):
    store, asked = Store(put(memory, photos)), []

    def denied(path, **how):
        asked.append(path)
        raise PermissionError("no")

    monkeypatch.setattr(memory, "cat_file", denied, raising=False)
    monkeypatch.setattr(store._opened[0], "cat_file", denied, raising=False)
    with pytest.raises(ImageError, match="access is denied"):
        store.read("class 0/00.png")
    assert len(asked) == 1
