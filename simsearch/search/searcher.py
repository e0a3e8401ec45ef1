"""Searcher: image -> embedding -> hits, as values. What the command line, and later the web page, use.

This is the cold path: it imports numpy, ONNX Runtime, faiss and Pillow, and neither torch, pydantic, rich nor h5py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.changes.state import MASKED, rows_of
from simsearch.embedder.bundle.trained import Features
from simsearch.errors import ArtifactError, ImageError, RecipeError, VectorsError
from simsearch.evaluation.false_alarms import ROUNDING
from simsearch.home import Build
from simsearch.images.formats.decode import decode, decode_query
from simsearch.images.preprocess import Preprocess
from simsearch.search.closing import while_open
from simsearch.search.corpus import Corpus
from simsearch.search.narrowing import Found, Own, name_under, others
from simsearch.search.neighbours import BATCH, Looking
from simsearch.search.opening import check_fits, open_artifacts, open_embedder, open_index
from simsearch.search.pictures import Picture, checked_vectors, decoded_arrays, load, several
from simsearch.search.question import MAX_FAR, Answer, Hit, Judgement, Question, checked_share
from simsearch.search.rates import Rates
from simsearch.search.rows import file_rows
from simsearch.search.verdicts import Verdicts
from simsearch.vectors.index import Neighbours
from simsearch.vectors.normalize import normalize
from simsearch.versions import usable_cores

if TYPE_CHECKING:
    from simsearch.search.collapsing import Alike

ANY = Question()
FIRST = 3  # times as many hits are looked at first where they are collapsed


class Searcher:
    """An opened build that answers images with their nearest neighbours; several threads may use it until `close`."""

    def __init__(self, build: Build, *, rehash: bool = False, threads: int | None = None) -> None:
        """Open a build; every file is checked against its sha256 before it is parsed.

        Files above 64 MiB are believed for `[run] rehash_days` after they were hashed whole, unless `rehash` is asked
        for, as by a server that stays open for long. `threads` embed one picture, or search for many vectors; without
        a number all cores: of two, each has twice the cost. Raises ArtifactError for a damaged or foreign artifact.
        """
        self.build, self.closed = build, False
        again = "run the same simsearch build again" + (", with --retrain" if build.record.synced else "")
        dataset, index, evaluated, judged, train = open_artifacts(build, again, rehash=rehash)
        try:
            self._embedder = None if train is None else open_embedder(build.name, train, again, threads)
        except ArtifactError as error:
            raise build.damaged(error) from None
        self.labelled = bool(build.record.labelled)
        self.images = int(build.record.images)
        self._index = open_index(build, index)
        self.corpus = Corpus(build, dataset, self._index.ntotal, rows_of(index, MASKED))
        self._looking = Looking(build, self.corpus, self._index, threads or usable_cores())
        self._records = self.corpus.records
        self._alike: Alike | None = None
        self._opening = threading.Lock()
        self.rates, self.verdicts = Rates(build, evaluated), Verdicts(build, judged)
        check_fits(build.name, self._index, self._embedder, len(self._records), again)

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; every method raises SimsearchError from then on."""
        self.closed = True
        self.corpus.close()
        self._index.close()
        if self._alike is not None:
            self._alike.close()

    @while_open
    def embed(self, images: Sequence[Pixels]) -> Floats:
        """Embeddings (N, dim) float32 of decoded images, each uint8 (H, W) or (H, W, 3); ImageError for another."""
        preprocess, runtime = self._needed_embedder()
        if not (pixels := [preprocess.fit(image) for image in decoded_arrays(images)]):
            return np.empty((0, self.dim), dtype=np.float32)
        return normalize(runtime.features(preprocess.normalize(np.stack(pixels))))

    @while_open
    def ask(self, image: Picture, question: Question = ANY) -> Answer:
        """Return the nearest images of the corpus for one picture, in any form that `search` takes.

        Raises ImageError for one that cannot be decoded, RecipeError for a `max_far` that the build cannot judge.
        """
        return self._ask_images([(image, "")], question)[0]

    @while_open
    def ask_vectors(self, vectors: Floats, question: Question = ANY) -> list[Answer]:
        """Return the nearest images for each raw vector, (N, dim) float32, normalized here; files are not looked for.

        Raises VectorsError for another dim and for a vector without direction, RecipeError as `ask` does.
        """
        started = time.perf_counter()
        return self._answers(normalize(checked_vectors(vectors)), [Own(None)] * len(vectors), question, started)

    @while_open
    def nearest_rows(self, vectors: Floats, question: Question = ANY) -> Neighbours | None:
        """Return what `ask_vectors` finds as scores and rows alone; None where its answers tell more than these.

        That is where the build knows rates or gives verdicts, and where the question refuses or collapses hits.
        Raises what `ask_vectors` does.
        """
        if self.rates.known_of_hits or self.verdicts.reason is None or not question.takes_all:
            return None
        return self._looking.neighbours(normalize(checked_vectors(vectors)), question.k, self._looking.asked(question))

    @while_open
    def ask_row(self, row: int, question: Question = ANY) -> Answer:
        """Return the nearest images for an image of the corpus, by what the index stores of it: no file is read.

        Raises VectorsError for an index that cannot give that back, RecipeError as `ask` does.
        """
        started, record = time.perf_counter(), self._records[row]
        own = Own(record.sha256, record.image)
        return self._answers(normalize(self._index.stored(row, row + 1)), [own], question, started)[0]

    @while_open
    def ask_file(self, path: str, question: Question = ANY) -> Iterator[tuple[int, Answer]]:
        """Yield each row of a file of vectors (of its queries, where the format has them) with its answer.

        Every row is checked before the first is answered. Raises VectorsError for a file that cannot be used too.
        """
        for start, block in file_rows(path, self.dim, self.build.name):
            yield from enumerate(self.ask_vectors(block, question), start)

    @while_open
    def search(self, images: Picture | Iterable[Picture], k: int = 10, *, where: str | None = None) -> list[list[Hit]]:
        """Return a list of the k nearest images of the corpus for each picture, also for one alone; k is at least 1.

        `images` is a picture or a list of them: a path, the bytes of a file, a PIL image, or an array of uint8, (H, W)
        or (H, W, 3) RGB; another sequence or an iterator will do too. A PIL image is taken as the file that it was
        opened from, a copy or a part of one with its pixels as they stand. `where` is a filter, as "label = apple".
        Fewer than k are returned where the corpus, or what passes the filter, has fewer. Raises ImageError, which says
        what is expected, for the first that is none of these or cannot be decoded, RecipeError for another k, and
        FilterError, a RecipeError with the place, for a filter that cannot be used.
        """
        question, pictures = Question(k, where=where), several(images)
        batches = iter(lambda: list(islice(pictures, BATCH)), [])
        return [list(answer.hits) for batch in batches for answer in self._ask_images(batch, question)]

    @while_open
    def search_vectors(self, vectors: Floats, k: int = 10, *, where: str | None = None) -> list[list[Hit]]:
        """Return the hits of `ask_vectors`."""
        return [list(answer.hits) for answer in self.ask_vectors(vectors, Question(k, where=where))]

    @while_open
    def passing(self, where: str) -> int:
        """Return how many images of the corpus pass a filter; FilterError for one that cannot be used."""
        return len(self._looking.passing(where))

    @while_open
    def same(self, one: Picture, other: Picture, max_far: float = MAX_FAR) -> Judgement:
        """Return whether two pictures, as `search` takes them, are of the same label.

        They are when at most the share `max_far` of different-label pairs scores as much, or when they are the same
        file, byte for byte; where too few such pairs are known to tell, `same` is None. Raises ImageError for the first
        that cannot be read, RecipeError when the build knows no shares.
        """
        max_far = checked_share(max_far)
        self.rates.known()
        (first, digest), (second, other_digest) = self._load(one), self._load(other)
        score = float(np.dot(*self._embed([first, second])).clip(-1, 1))
        return self.rates.judged(score, max_far, identical=digest != "" and digest == other_digest)

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._index.dim

    @property
    def stores_vectors(self) -> bool:
        """Whether the index gives back the embeddings of its rows as they were."""
        return self._index.stores_vectors

    @while_open
    def located(self, hit: Hit) -> Hit:
        """Return a hit with the path of its file, or with `gone`, as `search` does and `search_vectors` does not."""
        path, gone = self._located(hit.image)
        return hit._replace(path=path, gone=gone)

    def picture(self, hit: Hit) -> Pixels:
        """The image of a hit, or its stored thumbnail where the file is not here, unreadable or another by now."""
        return self.looked_at(hit)[0]

    @while_open
    def looked_at(self, hit: Hit) -> tuple[Pixels, bool]:
        """Return the `picture` of a hit, and whether its file is here but no longer what the build was made from."""
        data = None if hit.path is None else self.corpus.original(hit.row)
        if data is not None:
            with suppress(ImageError):
                return self.decoded(data), False
        return decode(self.corpus.thumbnail(hit.row)), hit.path is not None

    @while_open
    def decoded(self, data: bytes, at_least: int | None = None) -> Pixels:
        """Return the pixels of a file's bytes as the build's own pictures were decoded; raises ImageError."""
        return decode_query(data, at_least, self._embedder[0].decoding) if self._embedder else decode(data, at_least)

    def _located(self, image: str) -> tuple[str | None, bool]:
        path = self.corpus.path(image)
        return path, path is None and self.build.pictures_here

    def _load(self, image: Picture, place: str = "") -> tuple[Pixels, str]:
        """Return the pixels of a picture and the digest of its file, "" where it has none."""
        preprocess = self._needed_embedder()[0]
        return load(image, preprocess.size, preprocess.decoding, place)

    def _embed(self, images: list[Pixels]) -> Floats:
        try:
            return self.embed(images)
        except VectorsError as error:  # a feature without direction: this picture has no answer, others may
            raise ImageError(f"cannot compare this picture: {error.message}") from None

    def _ask_images(self, images: Sequence[tuple[Picture, str]], question: Question) -> list[Answer]:
        started = time.perf_counter()
        loaded = [self._load(*one) for one in images]
        embeddings = self._embed([pixels for pixels, _ in loaded])
        own = [Own(digest, name_under(self.build, one[0])) for one, (_, digest) in zip(images, loaded, strict=True)]
        return self._answers(embeddings, own, question, started)

    def _answers(self, embeddings: Floats, own: Sequence[Own], question: Question, started: float) -> list[Answer]:
        """Return the answers to unit embeddings (N, D)."""
        if question.max_far is not None:
            self.rates.known()
        asked = question.k * (FIRST if question.collapse else 1)
        answers = self._nearest(embeddings, own, question, asked)
        if question.collapse:

            def fetch(i: int, count: int) -> Answer:
                return self._nearest(embeddings[i : i + 1], own[i : i + 1], question, count)[0]

            alike = self._opened_alike()
            answers = [alike.collapse(question.k, answer, asked, partial(fetch, i)) for i, answer in enumerate(answers)]
        share = (time.perf_counter() - started) * 1000 / max(1, len(answers))
        return [replace(answer, milliseconds=share) for answer in answers]

    def _nearest(self, embeddings: Floats, own: Sequence[Own], question: Question, count: int) -> list[Answer]:
        """Return those of the `count` nearest that the question takes."""
        find, passing = self._looking.found, self._looking.asked(question)
        nearest, wide = find(embeddings, count + question.not_self, passing)
        answers = []
        for number, found in enumerate(nearest):
            again = partial(find, embeddings[number : number + 1])
            verdict = self.verdicts.of(found if passing is None else [], own[number], partial(again, passing=None))
            if question.not_self:
                found = others(found, own[number], count, partial(again, passing=passing))
            kept, left_out = question.taken(self._hits(found, own[number].digest))
            answers.append(Answer(kept, number in wide, left_out, verdict=verdict))
        return answers

    def _opened_alike(self) -> Alike:
        from simsearch.search.collapsing import Alike

        with self._opening:
            if self._alike is None:
                self._alike = Alike(self._records, None if self.build.of_vectors else self.corpus.folder, self._index)
        return self._alike

    def _needed_embedder(self) -> tuple[Preprocess, Features]:
        if self._embedder is None:
            raise RecipeError(
                f"build {self.build.name} was made from vectors: it has no embedder for images",
                hint=f"simsearch query --vectors FILE.npy --build {self.build.name}, or --build names another build",
            )
        return self._embedder

    def _hits(self, found: Found, digest: str | None) -> list[Hit]:
        """Return hits in order; among equal scores the query's own file stands before its pixel-identical twins."""
        best = found[0][0] - ROUNDING if found else 0.0
        if digest:
            found.sort(key=lambda hit: hit[0] < best or hit[2].sha256 != digest)
        if digest is None:
            return self.rates.hits(found)
        placed = (self._located(record.image) for _, _, record in found)
        return [
            self.rates.hit(rank, score, record, path=path, gone=gone, same=record.sha256 == digest)
            for rank, ((score, _, record), (path, gone)) in enumerate(zip(found, placed, strict=True), 1)
        ]
