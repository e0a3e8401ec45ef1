"""The index: any factory, ids are rows, never -1, and one clear line for what cannot be used."""

import subprocess
import sys

import faiss
import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.vectors.agreement import verify
from simsearch.vectors.exact import exact_search
from simsearch.vectors.index import FaissIndex, build, set_threads
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

N, D, Q = 3000, 16, 60
FACTORIES = [
    "Flat",
    "IVF16,Flat",
    "HNSW16",
    "SQ8",
    "IVF16,SQ8",
    "PCA8,IVF16,Flat",
    "IVF16,PQ4x4fs,RFlat",
    "IVF16,PQ16x4fsr,RFlat",
    "RaBitQ",
]


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    centres = random.standard_normal((12, D))
    return (3 * (centres[random.integers(0, 12, N + Q)] + 0.5 * random.standard_normal((N + Q, D)))).astype(np.float32)


def make(features, factory, **options):
    blocks = lambda: (features[i : i + 700] for i in range(0, len(features), 700))  # noqa: E731
    return build(blocks, features.shape[1], factory, **options)


def exact(features, k, below=N):
    queries, base = normalize(features[N:]), normalize(features[:below])
    parts = list(exact_search(queries, base, k, "ip"))
    return np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])


def check_order(scores, rows):
    for s, r in zip(scores, rows, strict=True):
        assert sorted(zip(-s, r, strict=True)) == list(zip(-s, r, strict=True))
        assert len(set(r.tolist())) == len(r)


@pytest.mark.parametrize("factory", FACTORIES)
def test_answers_are_rows_in_order_and_close_to_exact(features, factory, tmp_path):
    index = make(features[:N], factory)
    assert (index.ntotal, index.dim, index.factory) == (N, D, factory)
    assert index.is_flat == (factory == "Flat")
    scores, rows, _ = index.search(normalize(features[N:]), 10)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64
    check_order(scores, rows)
    # Ties may permute: what counts is that the true score of a returned row reaches the exact k-th.
    true = np.einsum("qd,qkd->qk", normalize(features[N:]), normalize(features[:N])[rows])
    recall = (true >= exact(features, 10)[0][:, -1:] - 1e-6).mean()
    assert recall > {"Flat": 0.9999, "PCA8,IVF16,Flat": 0.1, "IVF16,PQ4x4fs,RFlat": 0.1, "RaBitQ": 0.1}.get(
        factory, 0.5
    )
    index.save(tmp_path / "index.faiss")
    again = FaissIndex.load(tmp_path / "index.faiss", factory=factory)
    np.testing.assert_array_equal(again.search(normalize(features[N:]), 10)[1], rows)
    verify(again, N, features[100:150], start=100)


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize(("k", "below"), [(400, None), (10, 90), (5000, 120), (5000, None)])
def test_minus_one_never_leaves(features, factory, k, below):
    index = make(features[:N], factory)
    _, rows, _ = index.search(normalize(features[N:]), k, rows_below=below)
    limit = below or N
    assert rows.shape == (Q, min(k, limit))
    assert rows.min() >= 0
    assert rows.max() < limit
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_a_widened_answer_is_the_exact_one_and_is_told(features):
    index = make(features[:N], "IVF64,Flat")
    _, rows, widened = index.search(normalize(features[N:]), 500, Search(nprobe=1))
    assert widened.tolist() == list(range(Q))
    np.testing.assert_array_equal(rows, exact(features, 500)[1])
    assert not len(index.search(normalize(features[N:]), 1, Search(nprobe=1)).widened)


def test_search_settings_reach_the_kind_that_has_them(features):
    queries = normalize(features[N:])
    best = exact(features, 10)[1]
    for factory, settings in (
        ("IVF16,Flat", {"nprobe": 16}),
        ("RR16,IVF16,Flat", {"nprobe": 16}),
        ("HNSW32", {"efSearch": 2000}),
    ):
        assert (make(features[:N], factory).search(queries, 10, Search(**settings))[1] == best).mean() > 0.9
    flat, hnsw = make(features[:N], "Flat"), make(features[:N], "HNSW8")
    for index, settings in ((flat, {"nprobe": 4}), (flat, {"efSearch": 4}), (hnsw, {"nprobe": 4})):
        with pytest.raises(VectorsError, match=f"index {index.factory} has no {next(iter(settings))}"):
            index.search(queries, 5, Search(**settings))
    with pytest.raises(VectorsError, match="expected nprobe >= 1, seen 0"):
        make(features[:N], "IVF16,Flat").search(queries, 5, Search(nprobe=0))
    with pytest.raises(VectorsError, match="expected k >= 1, seen 0"):
        flat.search(queries, 0)


def test_equal_scores_come_by_row():
    index = make(np.tile(np.eye(3, dtype=np.float32), (5, 1)), "Flat")
    assert index.search(np.eye(3, dtype=np.float32)[:1], 15)[1].tolist() == [
        [0, 3, 6, 9, 12, 1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    ]


def test_rows_appended_later_are_searched_unless_left_out(features):
    index = make(features[:N], "Flat")
    index.add(features[N:])
    queries = normalize(features[N:])
    assert index.search(queries, 1)[1][:, 0].tolist() == list(range(N, N + Q))
    np.testing.assert_array_equal(index.search(queries, 10, rows_below=N)[1], exact(features, 10)[1])
    with pytest.raises(VectorsError, match=r"image 3061\.png is NaN"):
        index.add(np.array([[1.0] * D, [np.nan] * D], dtype=np.float32), name=lambda i: f"{i}.png")


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("Nonsense", "refuses the factory 'Nonsense' for dim 16: could not parse"),
        ("PQ7", "multiple of the number of subquantizers"),
        ("OPQ3,Flat", "multiple of the number of subquantizers"),
        ("LSH", "METRIC_L2"),
        ("IVF5000,Flat", "needs at least 5000 rows for its 5000 lists, seen 3000"),
        ("IDMap,Flat", "cannot take rows"),
        ("", "refuses the factory"),
    ],
)
def test_a_factory_that_cannot_be_used_is_one_clear_line(features, factory, words):
    with pytest.raises(VectorsError, match=words) as caught:
        make(features[:N], factory)
    assert "\n" not in caught.value.message
    assert ".cpp" not in caught.value.message


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat"])
def test_a_broken_row_is_named_by_its_place_in_the_whole(features, factory):
    broken = features[:N].copy()
    broken[1444] = 0
    with pytest.raises(VectorsError, match="image 1444 is zero"):
        make(broken, factory, name=str)


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,SQ8", "IVF16,RaBitQ"])
def test_rows_lie_in_the_lists_that_faiss_would_put_them_in(features, factory, tmp_path):
    ours = make(features, factory)
    ours.save(tmp_path / "ours.faiss")
    native = faiss.read_index(str(tmp_path / "ours.faiss"))
    ids = [faiss.rev_swig_ptr(native.invlists.get_ids(i), native.invlists.list_size(i)).tolist() for i in range(16)]
    assert sorted(row for rows in ids for row in rows) == list(range(N + Q))
    native.reset()
    native.add(normalize(features))
    for number, rows in enumerate(ids):
        assert faiss.rev_swig_ptr(native.invlists.get_ids(number), len(rows)).tolist() == rows
        assert native.invlists.list_size(number) == len(rows)
    native.nprobe = 16
    scores = native.search(normalize(features[:20]), 5)[0]
    assert np.array_equal(ours.search(normalize(features[:20]), 5, Search(nprobe=16))[0], scores)


def test_rows_that_come_only_the_first_time_are_noticed(features):
    passes = iter([features, features, features[:-1]])
    with pytest.raises(VectorsError, match=f"seen {N + Q - 1} features|expected lists of"):
        build(lambda: [next(passes)], D, "IVF16,Flat", rows=N + Q)


@pytest.mark.parametrize(
    "factory",
    [
        pytest.param("OPQ4,IVF16,PQ4", marks=pytest.mark.slow),
        pytest.param("PQ4,Refine(PQ8x8)", marks=pytest.mark.slow),
        "PCA8,IVF16,PQ4x4fs,RFlat",
    ],
)
def test_training_on_few_rows_says_nothing(features, factory, capfd):
    make(features, factory)
    assert capfd.readouterr() == ("", "")


def test_rows_that_do_not_come_are_noticed(features):
    with pytest.raises(VectorsError, match="expected 100 x 16, seen 99 features"):
        build(lambda: [features[:99]], D, "Flat", rows=100)
    with pytest.raises(VectorsError, match=r"expected features \(N, 16\), seen \(9, 15\)"):
        build(lambda: [features[:9, :15]], D, "Flat")


def test_queries_of_another_dim_name_both_shapes(features):
    with pytest.raises(VectorsError, match=r"expected queries \(Q, 16\), seen \(2, 8\)"):
        make(features[:N], "Flat").search(np.ones((2, 8), np.float32), 1)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16", "SQ8"])
def test_a_truncated_file_is_refused(features, factory, tmp_path):
    path = tmp_path / "index.faiss"
    make(features[:N], factory).save(path)
    whole = path.read_bytes()
    for length in [0, 3, 4, 20, 33, 50, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(VectorsError, match="cannot read index") as caught:
            FaissIndex.load(path)
        assert str(path) in caught.value.message
        assert ".cpp" not in caught.value.message


def test_every_flipped_bit_of_the_header_is_an_error_or_an_index(features, tmp_path):
    """A flip in the vectors is for the artifact's checksum; here nothing but VectorsError may escape, and no memory."""
    path = tmp_path / "index.faiss"
    make(features[:50], "Flat").save(path)
    whole = path.read_bytes()
    refused = 0
    for bit in range(45 * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            FaissIndex.load(path)
        except VectorsError:
            refused += 1
    assert refused > 200


def test_foreign_files_are_refused(tmp_path, features):
    with pytest.raises(VectorsError, match="No such file"):
        FaissIndex.load(tmp_path / "absent")
    (tmp_path / "text").write_text("not an index " * 100)
    with pytest.raises(VectorsError, match="cannot read index"):
        FaissIndex.load(tmp_path / "text")
    faiss.write_index(faiss.IndexFlatL2(4), str(tmp_path / "l2"))
    with pytest.raises(VectorsError, match="expected inner product"):
        FaissIndex.load(tmp_path / "l2")
    with pytest.raises(VectorsError, match="cannot write index"):
        make(features[:9], "Flat").save(tmp_path / "no" / "folder")
    assert faiss.get_deserialization_vector_byte_limit() > 1 << 30


def test_verify_notices_other_features_other_counts_and_long_vectors(features):
    index = make(features[:N], "IVF16,Flat")
    verify(index, N, features[:100])
    with pytest.raises(VectorsError, match="expected 3001 rows, seen 3000"):
        verify(index, N + 1, features[:100])
    with pytest.raises(VectorsError, match="belongs to other features"):
        verify(index, N, features[1:101])
    with pytest.raises(VectorsError, match=r"expected features \(N, 16\), seen \(5, 4\)"):
        verify(index, N, features[:5, :4])
    native = faiss.IndexFlatIP(D)
    native.add(features[:N])
    with pytest.raises(VectorsError, match="expected unit vectors"):
        verify(FaissIndex(native, "Flat"), N, features[:100])


def test_threads_do_not_change_the_answer(features):
    index = make(features[:N], "HNSW16")
    answers = []
    for threads in (2, 1):
        set_threads(threads)
        answers.append(index.search(normalize(features[N:]), 10)[1])
    np.testing.assert_array_equal(*answers)
    set_threads(faiss.omp_get_max_threads())


def test_a_cold_query_imports_neither_h5py_nor_torch():
    code = "import simsearch.vectors.index, sys; sys.exit(any(m in sys.modules for m in ('h5py', 'torch', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_re_ranking_index_finds_for_a_small_k_what_it_finds_for_ten():
    rows = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
    index = build(lambda: [rows], 16, "PQ8x4fs,RFlat")
    queries = rows[:200] / np.linalg.norm(rows[:200], axis=1, keepdims=True)
    ten = index.search(queries, 10, Search(k_factor=2))
    for k in (1, 3):
        scores, found, _ = index.search(queries, k, Search(k_factor=2))
        assert found.shape == (200, k)
        np.testing.assert_array_equal(found, ten[1][:, :k])
        np.testing.assert_allclose(scores, ten[0][:, :k], rtol=1e-6)
