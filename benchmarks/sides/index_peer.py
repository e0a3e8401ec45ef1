"""A peer in index.py: NAME FOLDER THREADS; runs in a Python of its own and imports nothing of ours.

Each peer gets the least setting of its search that reaches ann_recall@10 0.99 on the queries to tune with, where even
the last does not, that one. The recall printed and the speed are those of the fresh queries.
"""

import sys
import time
from importlib.metadata import version

import index_data
import numpy as np

STEPS = (1, 2, 3, 4, 6, 8, *range(12, 48, 4), *range(48, 128, 16), *range(128, 512, 64), 512, 768, 1024, 1536, 2048)


def hnswlib_index(base, threads):
    """hnswlib's defaults: M 16, ef_construction 200."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=base.shape[1])
    index.init_index(max_elements=len(base), M=16, ef_construction=200, random_seed=0)
    index.set_num_threads(threads)
    index.add_items(base, num_threads=threads)
    return "hnswlib " + version("hnswlib"), index.set_ef, lambda asked: index.knn_query(asked, index_data.K)[0], 10


def usearch_index(base, threads):
    """usearch's defaults: connectivity 16, expansion_add 128."""
    from usearch.index import Index

    index = Index(ndim=base.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(base)), base, threads=threads)

    def choose(expansion):
        index.expansion_search = expansion

    def search(asked):
        return index.search(asked, index_data.K, threads=threads).keys

    return "usearch " + version("usearch"), choose, search, 10


def faiss_index(base, threads):
    """FAISS HNSW32."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.index_factory(base.shape[1], "HNSW32", faiss.METRIC_INNER_PRODUCT)
    index.add(base)

    def choose(ef):
        index.hnsw.efSearch = ef

    return f"faiss {faiss.__version__} HNSW32", choose, lambda asked: index.search(asked, index_data.K)[1], 10


def autofaiss_index(base, threads):
    """What autofaiss builds with its defaults; its search setting is swept, as it tunes for latency alone."""
    import faiss
    from autofaiss import build_index

    index, told = build_index(
        embeddings=base, save_on_disk=False, metric_type="ip", nb_cores=threads, max_index_memory_usage="8G",
        current_memory_available="12G", verbose=30,
    )  # fmt: skip
    faiss.omp_set_num_threads(threads)
    space = faiss.ParameterSpace()
    key = "efSearch" if "HNSW" in str(type(faiss.downcast_index(index))) else "nprobe"

    def choose(value):
        space.set_index_parameter(index, key, value)

    name = f"autofaiss {version('autofaiss')} ({told.get('index_key', type(index).__name__)})"
    return name, choose, lambda asked: index.search(asked, index_data.K)[1], 1


PEERS = {"hnswlib": hnswlib_index, "usearch": usearch_index, "faiss": faiss_index, "autofaiss": autofaiss_index}


def main():
    base, (tuning, tuning_kth), (asked, kth) = index_data.opened(sys.argv[2])
    base = np.array(base)
    began = time.perf_counter()
    name, choose, search, least = PEERS[sys.argv[1]](base, int(sys.argv[3]))
    seconds = time.perf_counter() - began
    for step in (step for step in STEPS if step >= least):
        choose(step)
        if index_data.recall(base, tuning, tuning_kth, search(tuning)) >= index_data.TARGET:
            break
    found = index_data.recall(base, asked, kth, search(asked))
    index_data.serve(search, asked, name=f"{name}, {step}", recall=found, build_seconds=seconds)


if __name__ == "__main__":
    main()
