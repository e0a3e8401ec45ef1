"""What Python may search with: one picture or a list, in five forms, and what is said of everything else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageFile

import simsearch
from simsearch import SimsearchError
from simsearch.errors import ImageError, RecipeError, VectorsError, near_path
from simsearch.images.formats.decode import decode
from simsearch.images.formats.decoding import FIRST, PRESENT
from simsearch.images.formats.given import file_behind, pixels_of
from simsearch.search import Question

RAMP = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)
COLOURS = np.random.default_rng(3).integers(0, 256, (40, 30, 4), dtype=np.uint8)
TURN = Image.Exif()
TURN[0x0112] = 6


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.fixture(scope="module")
def searcher(built):
    with simsearch.open("photos", home=str(built[1])) as opened:
        yield opened


@pytest.fixture
def path(built):
    return built[0] / "class 2" / "07.png"


@pytest.mark.parametrize(
    "form",
    [
        str,
        Path,
        Path.read_bytes,
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: opened(path.read_bytes()),
        lambda path: opened(path.read_bytes()).copy(),
        lambda path: np.asarray(opened(path.read_bytes())),
        lambda path: np.asarray(opened(path.read_bytes()).convert("RGB"))[:, :, ::-1],
    ],
    ids=["str", "Path", "bytes", "bytearray", "memoryview", "image of a file", "image", "array", "array with strides"],
)
def test_one_picture_is_answered_as_a_list_of_one(searcher, path, form):
    (expected,) = searcher.search([path], k=3)
    (alone,), (listed,) = searcher.search(form(path), k=3), searcher.search([form(path)], 3)
    assert [hit.image for hit in alone] == [hit.image for hit in listed] == [hit.image for hit in expected]
    assert [hit.score for hit in alone] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    assert searcher.ask(form(path), Question(3)).hits == tuple(alone)
    assert searcher.same(form(path), path).score == pytest.approx(1)
    assert expected[0].same_file
    assert alone[0].same_file == (not isinstance(form(path), np.ndarray) and form(path).__class__ is not Image.Image)


@pytest.mark.parametrize(
    "several",
    [list, tuple, iter, lambda paths: (path for path in paths)],
    ids=["list", "tuple", "iterator", "generator"],
)
def test_several_pictures_have_a_list_each_in_their_order(searcher, built, several):
    paths = sorted(built[0].rglob("*.png"))
    found = searcher.search(several([*paths, *paths]), k=1)  # more than one batch
    assert [hits[0].image for hits in found] == 2 * [path.relative_to(built[0]).as_posix() for path in paths]
    assert searcher.search(several([])) == []


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (None, "expected a picture or a list of them, seen None"),
        (5, "expected a picture or a list of them, seen int 5"),
        ({"a.png": 1}, "expected a picture or a list of them, seen dict"),
        ({"a.png"}, "expected a picture or a list of them, seen set"),
        (io.BytesIO(b"x"), "expected a picture or a list of them, seen BytesIO"),
        ([["a.png"]], "images[0]: expected a picture, seen list"),
        ([picture(1, 1), None], "images[1]: expected a picture, seen None"),
        (range(3), "images[0]: expected a picture, seen int 0"),
        (np.zeros((5, 5), np.float32), "expected an array of uint8 (H, W) or (H, W, 3), seen float32 (5, 5)"),
        (np.zeros((2, 5, 5, 3), np.uint8), "expected an array of uint8 (H, W) or (H, W, 3), seen uint8 (2, 5, 5, 3)"),
        (np.zeros((5, 5, 4), np.uint8), "expected an array of uint8 (H, W) or (H, W, 3), seen uint8 (5, 5, 4)"),
        (np.zeros((0, 5), np.uint8), "expected an array of uint8 (H, W) or (H, W, 3), seen uint8 (0, 5)"),
        (
            [picture(1, 1), np.array(["a.png"])],
            "images[1]: expected an array of uint8 (H, W) or (H, W, 3), seen <U5 (1,)",
        ),
    ],
)
def test_everything_else_is_named_with_what_is_taken(searcher, images, said):
    with pytest.raises(ImageError) as caught:
        searcher.search(images)
    assert caught.value.message == said
    assert caught.value.hint == (
        "a picture is a path, the bytes of a file, a PIL image, or an array of uint8 (H, W) or (H, W, 3); "
        "search takes one or a list of them"
    )


@pytest.mark.parametrize(
    ("image", "said", "hint"),
    [
        ("{folder}/class 2/07.pn", "no such file; did you mean '{folder}/class 2/07.png'?", "check the path"),
        ("{folder}/clas 2/07.png", "no such file; did you mean '{folder}/class 2/07.png'?", "check the path"),
        ("{folder}", "is a folder, not a file", "give the files in it"),
        ("https://example.org/x.png", "a web address, and only files are read", "download it"),
        ("a\0b", "cannot be read: not a usable path", "check the path"),
    ],
)
def test_a_path_that_cannot_be_read_is_named(searcher, built, image, said, hint):
    image = image.format(folder=built[0])
    with pytest.raises(ImageError) as caught:
        searcher.search(image)
    assert caught.value.message == f"cannot read {image}: {said.format(folder=built[0])}"
    assert caught.value.hint.startswith(hint)


def test_bytes_that_are_no_picture_are_placed_in_the_list(searcher):
    with pytest.raises(ImageError, match=r"^images\[1\]: not an image"):
        searcher.search([picture(1, 1), b"junk of some length"])


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None, True])
def test_another_k_is_refused(searcher, path, k):
    with pytest.raises(RecipeError, match=f"k: expected a whole number from 1, seen {k!r}"):
        searcher.search(path, k)


def test_k_may_be_of_numpy_and_beyond_the_corpus(searcher, path):
    assert len(searcher.search(path, np.int64(4))[0]) == 4
    assert len(searcher.search(path, 10**12)[0]) == searcher.images


@pytest.mark.parametrize("limits", [{"max_far": 0}, {"max_far": float("nan")}, {"max_far": "1"}, {"min_score": "x"}])
def test_a_limit_that_is_no_number_is_refused(limits):
    with pytest.raises(RecipeError, match="expected a s"):
        Question(**limits)


@pytest.mark.parametrize("vectors", [None, [[1.0, 2.0]], np.zeros(64, np.float32), np.array([["a"]])])
def test_what_are_no_vectors_is_named(searcher, vectors):
    with pytest.raises(VectorsError, match=r"expected an array of float32 \(N, D\), seen "):
        searcher.search_vectors(vectors)


def test_no_answer_is_any_other_error(searcher):
    """Whatever is given, the error is one that a program can catch."""
    things = [object(), 1j, lambda: 0, type, "", b"", Image.new("RGB", (0, 4)), [[]], [b""], slice(3), io.StringIO("a")]
    for thing in things:
        with pytest.raises(SimsearchError) as caught:
            searcher.search(thing)
        assert caught.value.hint


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FILES = {
    "gray": saved(Image.fromarray(COLOURS[..., 0]), "PNG"),
    "two colours": saved(Image.fromarray(COLOURS[..., 0]).convert("1"), "PNG"),
    "alpha": saved(Image.fromarray(COLOURS), "PNG"),
    "light alpha": saved(Image.fromarray(COLOURS | np.array([240, 240, 240, 0], np.uint8)), "PNG"),
    "gray alpha": saved(Image.fromarray(COLOURS).convert("LA"), "PNG"),
    "palette": saved(Image.fromarray(COLOURS[..., :3]).quantize(20), "PNG"),
    "clear palette": saved(Image.fromarray(COLOURS[..., :3]).quantize(20), "PNG", transparency=3),
    "one clear colour": saved(Image.fromarray(COLOURS[..., :3]), "PNG", transparency=tuple(COLOURS[3, 3, :3].tolist())),
    "16 bits": saved(Image.fromarray(RAMP * 50), "PNG"),
    "12 bits": saved(Image.fromarray(RAMP * 3), "TIFF"),
    "floats": saved(Image.fromarray((RAMP / RAMP.max()).astype(np.float32)), "TIFF"),
    "turned PNG": saved(Image.fromarray(COLOURS[..., :3]), "PNG", exif=TURN),
    "turned JPEG": saved(Image.fromarray(COLOURS[..., :3]), "JPEG", exif=TURN),
    "turned TIFF": saved(Image.fromarray(COLOURS[..., :3]), "TIFF", exif=TURN),
    "turned WebP": saved(Image.fromarray(COLOURS[..., :3]), "WEBP", exif=TURN),
    "CMYK": saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"),
    "animation": saved(
        Image.fromarray(COLOURS[..., 0]), "GIF", save_all=True, append_images=[Image.fromarray(COLOURS[..., 1])]
    ),
}


@pytest.mark.parametrize("decoding", [PRESENT, FIRST], ids=["rules 2", "rules 1"])
@pytest.mark.parametrize("name", FILES)
def test_an_image_of_pillow_has_the_pixels_of_its_file(name, decoding):
    expected = decode(FILES[name], decoding=decoding)
    assert expected.std() > 3
    for look in (lambda image: None, Image.Image.load, lambda image: image.getpixel((0, 0))):
        image = opened(FILES[name])
        look(image)
        np.testing.assert_array_equal(pixels_of(image, decoding), expected)
    if "turned" not in name:
        np.testing.assert_array_equal(pixels_of(opened(FILES[name]).copy(), decoding), expected)


def test_an_image_is_its_file_until_it_is_looked_at_or_turned_to_another_frame():
    for name, data in FILES.items():
        image = opened(data)
        assert isinstance(image, ImageFile.ImageFile)
        assert file_behind(image) in (data, None if "WebP" in name else data)
        image.load()
        if name != "animation":
            assert file_behind(image) is None
    image = opened(FILES["animation"])
    image.seek(1)
    assert file_behind(image) is None
    ppm = opened(saved(Image.fromarray(COLOURS[..., :3]), "PPM"))  # no format of files here
    assert file_behind(ppm) is None
    assert (pixels_of(ppm, PRESENT) == COLOURS[..., :3]).all()


def test_a_large_jpeg_opened_by_pillow_is_answered_as_its_file(searcher):
    """A file is decoded at a fraction of its size, which an image that was looked at cannot be."""
    data = saved(Image.fromarray(COLOURS[..., :3]).resize((900, 1200)), "JPEG")
    (file,), (image,) = searcher.search(data, 30), searcher.search(opened(data), 30)
    assert image == file
    looked = opened(data)
    looked.load()
    scores = [{hit.image: hit.score for hit in hits} for hits in (file, searcher.search(looked, 30)[0])]
    assert max(abs(score - scores[1][name]) for name, score in scores[0].items()) < 0.01


def test_the_nearest_path_is_looked_for_in_folders_that_are_there(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "photos" / "IMG_0012.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert near_path("photoz/") == "photos"
    assert near_path("photos/cta.jpg") == "photos/cat.jpg"
    assert near_path("photoz/cta.jpg") == "photos/cat.jpg"
    assert near_path("photos/something else") is None
    assert near_path("photos/IMG_0013.jpg") is None
    assert near_path("photos/IMG_0012.jpeg") == "photos/IMG_0012.jpg"
    assert near_path("nowhere at all/x/y.jpg") is None


def test_a_copy_or_a_part_of_a_turned_image_is_taken_as_it_stands():
    """Each inherits the EXIF data of its file, whatever was turned since, and is saved without them."""
    for name in ("turned PNG", "turned JPEG", "turned WebP"):
        whole = opened(FILES[name])
        parts = (
            whole.copy(),
            whole.crop((3, 2, 30, 20)),
            whole.transpose(Image.Transpose.ROTATE_270),
            whole.convert("RGB").resize((50, 60)),
        )
        for part in parts:
            for decoding in (PRESENT, FIRST):
                np.testing.assert_array_equal(pixels_of(part, decoding), decode(saved(part, "PNG"), decoding=decoding))


class NoPath:
    def __fspath__(self):
        return 5


def released():
    view = memoryview(b"some bytes")
    view.release()
    return view


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (released, "a memoryview that was released: its bytes are gone"),
        (NoPath, "expected a path, seen NoPath, which gives none"),
        (str, "cannot read '': an empty path"),
    ],
    ids=["released", "no path", "empty"],
)
def test_what_gives_nothing_to_read_is_named(searcher, make, said):
    with pytest.raises(ImageError) as caught:
        searcher.search(make())
    assert caught.value.message == said
    assert "stdin" not in caught.value.hint
    with pytest.raises(ImageError):
        searcher.search([picture(1, 1), make()])


def test_a_path_that_is_not_there_has_a_hint_for_python(searcher):
    with pytest.raises(ImageError) as caught:
        searcher.search("nowhere/at/all.png")
    assert caught.value.hint == "check the path"


def test_vectors_of_more_than_64_bits_are_answered(searcher):
    vectors = np.random.default_rng(5).normal(size=(2, searcher.dim))
    expected = searcher.search_vectors(vectors, 3)
    assert searcher.search_vectors(vectors.astype(np.longdouble), 3) == expected


def test_embed_takes_decoded_pictures_alone(searcher):
    assert searcher.embed([]).shape == (0, searcher.dim)
    assert searcher.embed([]).dtype == np.float32
    for images, said in (
        (["x"], "images[0]: expected an array of uint8 (H, W) or (H, W, 3), seen str"),
        ([np.zeros((4, 4), np.uint8), None], "images[1]: expected an array of uint8 (H, W) or (H, W, 3), seen None"),
        (None, "expected a list of arrays, seen None"),
        ("x.png", "expected a list of arrays, seen str"),
    ):
        with pytest.raises(ImageError) as caught:
            searcher.embed(images)
        assert caught.value.message == said
        assert "search takes paths" in caught.value.hint


@pytest.mark.parametrize(
    "ask",
    [
        lambda searcher, path, hit: searcher.search(path),
        lambda searcher, path, hit: searcher.search([]),
        lambda searcher, path, hit: searcher.ask(path),
        lambda searcher, path, hit: searcher.search_vectors(np.ones((1, searcher.dim), np.float32)),
        lambda searcher, path, hit: searcher.ask_vectors(np.ones((1, searcher.dim), np.float32)),
        lambda searcher, path, hit: searcher.ask_file("x.npy"),
        lambda searcher, path, hit: searcher.embed([picture(1, 1)]),
        lambda searcher, path, hit: searcher.same(path, path),
        lambda searcher, path, hit: searcher.located(hit),
        lambda searcher, path, hit: searcher.picture(hit),
        lambda searcher, path, hit: searcher.looked_at(hit),
        lambda searcher, path, hit: searcher.decoded(path.read_bytes()),
    ],
)
def test_a_closed_searcher_says_so(built, path, ask):
    with simsearch.open("photos", home=str(built[1])) as searcher:
        ((hit,),) = searcher.search(path, k=1)
    searcher.close()  # once more does no harm
    with pytest.raises(SimsearchError) as caught:
        ask(searcher, path, hit)
    assert caught.value.message == "this searcher is closed: open the build again"
    assert caught.value.hint == "simsearch.open('photos') opens it"
