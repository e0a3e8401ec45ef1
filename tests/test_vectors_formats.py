from __future__ import annotations

import h5py
import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.vectors.formats import open_vectors
from simsearch.vectors.formats.flat import write_npy, write_vecs
from simsearch.vectors.formats.metadata import parquet_library, read_metadata, write_metadata

ROWS = np.random.default_rng(0).normal(size=(23, 5)).astype(np.float32)


def everything(path, block=7):
    file = open_vectors(path)
    try:
        found = list(file.vectors.blocks(block))
        assert [start for start, _ in found] == list(range(0, file.vectors.shape[0], block))
        return np.concatenate([rows for _, rows in found])
    finally:
        file.close()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", "i1", "u1", "<i8"])
def test_npy_of_any_number(tmp_path, dtype):
    rows = (ROWS * 20).astype(dtype)
    rows[:, 0] = 1
    np.save(tmp_path / "x.npy", rows)
    assert (everything(tmp_path / "x.npy") == rows.astype(np.float32)).all()


def test_npy_of_a_transposed_array(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(ROWS))
    file = open_vectors(tmp_path / "x.npy")
    assert (file.vectors.read(3, 9) == ROWS[3:9]).all()
    assert (everything(tmp_path / "x.npy") == ROWS).all()


def test_fvecs_is_read_as_its_definition_says(tmp_path):
    path = tmp_path / "x.fvecs"
    path.write_bytes(b"".join(np.int32(5).tobytes() + row.tobytes() for row in ROWS))
    assert (everything(path) == ROWS).all()
    write_vecs(tmp_path / "y.fvecs", [ROWS[:9], ROWS[9:]], "<f4")
    assert (tmp_path / "y.fvecs").read_bytes() == path.read_bytes()
    write_vecs(tmp_path / "y.ivecs", [np.arange(6).reshape(2, 3)], "<i4")
    assert np.fromfile(tmp_path / "y.ivecs", "<i4").tolist() == [3, 0, 1, 2, 3, 3, 4, 5]


def test_what_we_write_as_npy_numpy_reads(tmp_path):
    write_npy(tmp_path / "x.npy", ROWS.shape, [ROWS[:9], ROWS[9:]])
    assert (np.load(tmp_path / "x.npy", allow_pickle=False) == ROWS).all()


@pytest.mark.parametrize("where", [".", "img_emb"])
def test_a_folder_of_parts_in_the_order_of_their_numbers(tmp_path, where):
    folder = tmp_path / "set" / where
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(ROWS, 11)):
        np.save(folder / f"img_emb_{number}.npy", part)
    assert (everything(tmp_path / "set") == ROWS).all()


def test_metadata_names_and_labels_the_rows(tmp_path):
    for number, part in enumerate((ROWS[:20], ROWS[20:])):
        (tmp_path / "img_emb").mkdir(exist_ok=True)
        (tmp_path / "metadata").mkdir(exist_ok=True)
        np.save(tmp_path / "img_emb" / f"img_emb_{number}.npy", part)
        text = "".join(f'"{number}, {i}.png",{i % 3}\n' for i in range(len(part)))
        (tmp_path / "metadata" / f"metadata_{number}.csv").write_text(f"image,label\n{text}")
    file = open_vectors(tmp_path)
    assert file.names[19:21] == ["0, 19.png", "1, 0.png"]
    assert file.labels[:4] == ["0", "1", "2", "0"]
    assert {path.name for path in file.files} == {
        f"{kind}_{i}.{end}" for kind, end in (("img_emb", "npy"), ("metadata", "csv")) for i in range(2)
    }
    (tmp_path / "metadata" / "metadata_1.csv").write_text("image,label\nx,1\n")
    with pytest.raises(VectorsError, match=r"1 rows, .* has 3"):
        open_vectors(tmp_path)
    (tmp_path / "metadata" / "metadata_1.csv").unlink()
    with pytest.raises(VectorsError, match="2 parts of vectors, 1 of metadata"):
        open_vectors(tmp_path)


def named(folder, parts, tables, text="image,label\na,x\nb,y\n", encoding="utf-8"):
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for part in parts:
        np.save(folder / "img_emb" / f"{part}.npy", ROWS[:2])
    for table in tables:
        (folder / "metadata" / f"{table}.csv").write_text(text, encoding=encoding)
    return folder


@pytest.mark.parametrize(
    ("parts", "tables"),
    [
        (["img_emb_0", "img_emb_2", "img_emb_3"], ["metadata_0", "metadata_1", "metadata_2"]),
        (["img_emb_0"], ["metadata_1"]),
        (["e_1_0", "e_2_0"], ["m_1_0", "m_3_0"]),
        (["e_1_0", "e_1_1"], ["m_0", "m_2"]),
        (["img_emb_000", "img_emb_002"], ["metadata_0", "metadata_1"]),
        (["cats", "dogs"], ["birds", "cats"]),
    ],
)
def test_metadata_of_other_parts_is_refused(tmp_path, parts, tables):
    with pytest.raises(VectorsError, match=r"metadata/.*\.csv: expected the metadata of .*\.npy"):
        open_vectors(named(tmp_path / "x", parts, tables))


@pytest.mark.parametrize(
    ("parts", "tables"),
    [
        (["img_emb_00", "img_emb_02"], ["metadata_0", "metadata_2"]),
        (["emb_512d"], ["metadata_0_of_1"]),
        (["part0_512d", "part1_512d"], ["metadata_0", "metadata_1"]),
        (["laion2b_9", "laion2b_10"], ["metadata_9", "metadata_10"]),
        (["cats", "dogs"], ["cats", "dogs"]),
        (["a", "b"], ["first", "second"]),
    ],
)
def test_metadata_of_the_same_parts_is_taken(tmp_path, parts, tables):
    assert open_vectors(named(tmp_path / "x", parts, tables)).labels == ["x", "y"] * len(parts)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_metadata_is_read_with_or_without_its_mark(tmp_path, encoding):
    file = open_vectors(named(tmp_path / "x", ["e_0"], ["m_0"], "image,label\nä,x\nb,y\n", encoding))
    assert (file.names, file.labels, file.notes) == (["ä", "b"], ["x", "y"], [])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_metadata_is_parted_as_its_header_tells(tmp_path, separator):
    text = "label;note, if any;image\nx;1,2;a\ny;3;b\n".replace(";", separator)
    file = open_vectors(named(tmp_path / "x", ["e_0"], ["m_0"], text))
    assert (file.names, file.labels, file.notes, file.separators) == (["a", "b"], ["x", "y"], [], separator)
    assert open_vectors(named(tmp_path / "y", ["e_0"], ["m_0"], "image,a;b\nx,1\ny,2\n")).separators == ""


def test_metadata_that_is_no_utf8_is_said(tmp_path):
    file = open_vectors(named(tmp_path / "x", ["e_0"], ["m_0"], "image,label\né,x\nb,y\n", "cp1252"))
    assert file.names == ["\udce9", "b"]
    assert file.notes[0].startswith("m_0.csv is not UTF-8, as ")


def test_metadata_beside_the_parts_is_read_or_said(tmp_path):
    for number in range(2):
        np.save(tmp_path / f"img_emb_{number}.npy", ROWS[:2])
        (tmp_path / f"metadata_{number}.csv").write_text("image,label\na,x\nb,y\n")
    file = open_vectors(tmp_path)
    assert (file.names, file.labels, file.notes) == (["a", "b"] * 2, ["x", "y"] * 2, [])
    assert len(file.files) == 4
    (tmp_path / "metadata_1.csv").rename(tmp_path / "names.csv")
    file = open_vectors(tmp_path)
    assert (file.names, file.labels, len(file.files)) == (None, None, 2)
    assert file.notes[0].startswith("rows have no names: metadata_0.csv, names.csv not read, expected a metadata_N")
    (tmp_path / "img_emb").mkdir()
    (tmp_path / "img_emb_0.npy").rename(tmp_path / "img_emb" / "img_emb_0.npy")
    assert open_vectors(tmp_path).labels == ["x", "y"]


def test_metadata_that_names_nothing_is_said(tmp_path):
    file = open_vectors(named(tmp_path / "x", ["e_0"], ["m_0"], "file;class\na;x\nb;y\n"))
    assert (file.names, file.labels) == (None, None)
    assert "m_0.csv names nothing: expected a column image," in file.notes[0]
    assert "seen file;class" in file.notes[0]
    (tmp_path / "x" / "metadata" / "m_0.csv").rename(tmp_path / "x" / "metadata" / "m_0.jsonl")
    assert "seen m_0.jsonl" in open_vectors(tmp_path / "x").notes[0]
    with pytest.raises(VectorsError, match="NUL bytes"):
        open_vectors(named(tmp_path / "y", ["e_0"], ["m_0"], encoding="utf-16-le"))


@pytest.mark.skipif(parquet_library() is None, reason="needs pyarrow")
def test_parquet_that_names_nothing_is_said(tmp_path):
    import pyarrow

    parquet_library().write_table(pyarrow.table({"caption": ["a", "b"]}), tmp_path / "m.parquet")
    names, labels, note = read_metadata(tmp_path / "m.parquet")
    assert (names, labels) == (["", ""], None)
    assert "m.parquet names nothing" in note
    assert "seen caption" in note


def test_metadata_round_trip(tmp_path):
    records = [("a, b.png", "x", 0), ("ü\n图.png", "", 1), ("latin\udcff.png", "y", 2)]
    path = write_metadata(tmp_path / "m", iter(records))
    assert path.suffix == (".csv" if parquet_library() is None else ".parquet")
    names, labels, note = read_metadata(path)
    assert (note is None) == (path.suffix == ".parquet")
    if path.suffix == ".parquet":
        records[2] = ("latin\\udcff.png", "y", 2)
    assert list(zip(names, labels, range(3), strict=True)) == records


def test_a_file_that_was_refused_is_let_go(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["other"] = ROWS
    with pytest.raises(VectorsError, match='expected the data sets "train"') as caught:
        open_vectors(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:  # HDF5 refuses to cut a file that is open
        file["train"] = ROWS
    assert (everything(tmp_path / "x.hdf5") == ROWS).all()
    assert "other" in str(caught.value)


def test_hdf5_of_ann_benchmarks(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", data=ROWS, chunks=(4, 5), compression="gzip")
        file.create_dataset("test", data=ROWS[:3].astype(np.float64))
        file.attrs["distance"] = "euclidean"
    file = open_vectors(tmp_path / "x.hdf5")
    assert (file.queries.read(0, 3) == ROWS[:3]).all()
    assert "euclidean" in file.notes[0]
    file.close()
    assert (everything(tmp_path / "x.hdf5") == ROWS).all()


def test_a_folder_of_fvecs_has_queries(tmp_path):
    write_vecs(tmp_path / "sift_base.fvecs", [ROWS], "<f4")
    write_vecs(tmp_path / "sift_query.fvecs", [ROWS[:2]], "<f4")
    file = open_vectors(tmp_path)
    assert file.vectors.shape == (23, 5)
    assert (file.queries.read(0, 2) == ROWS[:2]).all()


def objects(path):
    np.save(path, np.array([[{}, 1]]), allow_pickle=True)


def header(shape, dtype="'<f4'"):
    def write(path):
        text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 80)

    return write


BAD_NPY = [
    (lambda path: np.save(path, ROWS[0]), r"shape \(N, D\).*\(5,\)"),
    (lambda path: np.save(path, ROWS[None]), r"\(1, 23, 5\)"),
    (lambda path: np.save(path, ROWS[:0]), "at least one vector"),
    (lambda path: np.save(path, ROWS[:, :0]), "at least one vector"),
    (lambda path: np.save(path, ROWS > 0), "bool"),
    (lambda path: np.save(path, ROWS.astype(complex)), "complex128"),
    (lambda path: np.save(path, ROWS.astype(str)), "<U"),
    (objects, "object"),
    (header((10**12, 10**6)), "promises"),
    (header((-3, 2)), "shape"),
    (header((3, 2), "'O'"), "object"),
    (header((3, 2), "[('a', '<f4')]"), "a"),
    (header("__import__('os').system('true')"), "expected a .npy file"),
    (header("(3, 2"), "expected a .npy file"),  # the tokenizer of Python has an error of its own
    (header(f"{'(' * 11_000}3"), "expected a .npy file, seen: Header info length"),
    (lambda path: path.write_bytes(b""), "expected a .npy file"),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01"), "expected a .npy file"),
    (lambda path: path.write_bytes(b"text" * 100), "expected a .npy file"),
    (lambda path: path.mkdir(), "no .npy in it"),
]


@pytest.mark.parametrize(("write", "words"), BAD_NPY)
def test_npy_that_is_none(tmp_path, write, words):
    write(tmp_path / "x.npy")
    with pytest.raises(VectorsError, match=words) as caught:
        open_vectors(tmp_path / "x.npy")
    assert "\n" not in caught.value.message


def test_a_pickle_in_a_npy_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").touch, ()

    np.save(tmp_path / "x.npy", np.array([[Trap(), 1]], dtype=object), allow_pickle=True)
    with pytest.raises(VectorsError, match="object"):
        open_vectors(tmp_path / "x.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("cut", [1, 4, 19, 20])
def test_truncated_files(tmp_path, cut):
    np.save(tmp_path / "x.npy", ROWS)
    write_vecs(tmp_path / "x.fvecs", [ROWS], "<f4")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", data=ROWS)
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(VectorsError, match=path.name):
            everything(path)


def test_a_row_of_fvecs_of_another_width(tmp_path):
    write_vecs(tmp_path / "x.fvecs", [ROWS], "<f4")
    data = np.fromfile(tmp_path / "x.fvecs", "<i4")
    data[6 * 9] = 4
    data.tofile(tmp_path / "x.fvecs")
    with pytest.raises(VectorsError, match=r"row 9 .* 4 numbers, not 5"):
        everything(tmp_path / "x.fvecs")


SIGNALLING = np.uint64(0x7FF0_0000_0000_0001).view(np.float64)  # a NaN of which NumPy warns where it is cast


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (np.nan, "NaN or infinite"),
        (SIGNALLING, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
        (1e39, "NaN or infinite"),
        (0, "zero"),
    ],
)
def test_rows_without_direction_are_named(tmp_path, value, seen):
    rows = ROWS.astype(np.float64)
    rows[17] = value
    np.save(tmp_path / "img_0.npy", rows[:10])
    np.save(tmp_path / "img_1.npy", rows[10:])
    with pytest.raises(VectorsError, match=f"img_1.npy: row 7 is {seen}"):
        everything(tmp_path)


def test_parts_of_two_widths(tmp_path):
    np.save(tmp_path / "0.npy", ROWS)
    np.save(tmp_path / "1.npy", ROWS[:, :4])
    with pytest.raises(VectorsError, match=r"1.npy: expected 5-d .* seen 4-d"):
        open_vectors(tmp_path)


def virtual(file):
    layout = h5py.VirtualLayout((23, 5), np.float32)
    layout[:] = h5py.VirtualSource("other.hdf5", "train", (23, 5))
    file.create_virtual_dataset("train", layout)


def linked(file):
    file["train"] = h5py.ExternalLink("other.hdf5", "train")


def soft(file):
    file["real"] = ROWS
    file["train"] = h5py.SoftLink("/real")


def outside(file):
    file.create_dataset("train", (23, 5), np.float32, external=[("other.bin", 0, h5py.h5f.UNLIMITED)])


def unwritten(file):
    file.create_dataset("train", (23, 5), np.float32, chunks=(4, 5))[:8] = ROWS[:8]


def no_train(file):
    file["emb"] = ROWS


def of_text(file):
    file["train"] = [["a", "b"]]


def linked_queries(file):
    file["train"] = ROWS
    file["test"] = h5py.SoftLink("/train")


def other_width(file):
    file["train"], file["test"] = ROWS, ROWS[:, :3]


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (virtual, "virtual or external"),
        (outside, "virtual or external"),
        (linked, "link"),
        (soft, "link"),
        (linked_queries, '"test".* link'),
        (unwritten, "never written"),
        (no_train, "seen emb"),
        (of_text, "object"),
        (other_width, "3-d, its vectors 5-d"),
        (lambda file: file.create_group("train"), "no such data set"),
        (lambda file: file.create_dataset("train", data=ROWS[0]), r"\(5,\)"),
        (lambda file: None, "seen none"),
    ],
)
def test_hdf5_that_is_refused(tmp_path, fill, words):
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["train"] = ROWS
    (tmp_path / "other.bin").write_bytes(ROWS.tobytes())
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        fill(file)
    with pytest.raises(VectorsError, match=words):
        open_vectors(path)


def test_hdf5_whose_list_of_data_sets_is_damaged(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["train"] = ROWS
    whole, words = path.read_bytes(), set()
    for place in range(90, 800, 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            open_vectors(path).close()
        except VectorsError as error:
            words.add(error.message.partition("seen: ")[2])
    assert any("get group info" in said or "Link iteration" in said for said in words), words
    path.write_bytes(whole.replace(b"train", b"tr\xffin"))
    with pytest.raises(VectorsError, match="seen tr\udcffin"):
        open_vectors(path)


def test_other_files(tmp_path):
    import os

    (tmp_path / "x.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe.npy")
    os.mkfifo(tmp_path / "pipe.hdf5")
    for name, words in [
        ("x.txt", r"\.txt"),
        ("gone.npy", "no file"),
        ("pipe.npy", "regular"),
        ("pipe.hdf5", "regular"),
    ]:
        with pytest.raises(VectorsError, match=words):
            open_vectors(tmp_path / name)
