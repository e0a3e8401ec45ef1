"""The index of a build as searches look into it: by the build's settings, past deleted rows, under a filter."""

from __future__ import annotations

from simsearch.arrays import Floats
from simsearch.home import Build
from simsearch.search.corpus import Corpus
from simsearch.search.narrowing import Found, Narrowing
from simsearch.search.question import Question
from simsearch.vectors.index import Deleted, Index, Neighbours, Passing, set_threads

BATCH = 32  # embeddings that one thread looks for


class Looking:
    """Finds rows; several threads may use it. `threads` look for more than 32 embeddings at once."""

    def __init__(self, build: Build, corpus: Corpus, index: Index, threads: int) -> None:
        self._index, self._search, self._threads = index, build.record.search, threads
        self._deleted = Deleted(corpus.masked, index.ntotal) if len(corpus.masked) else None
        self._records = corpus.records
        self._narrowing = Narrowing(build, corpus, index.ntotal, self._deleted)

    def passing(self, where: str) -> Passing:
        """Return the rows that pass a filter; FilterError for one that cannot be used."""
        return self._narrowing.passing(where)

    def asked(self, question: Question) -> Passing | None:
        """Return the rows that pass the filter of a question, None where it has none; raises as `passing` does."""
        return None if question.where is None else self.passing(question.where)

    def neighbours(self, embeddings: Floats, count: int, passing: Passing | None) -> Neighbours:
        """Return the nearest rows (N, count) of unit embeddings (N, D), fewer where fewer pass; scores in [-1, 1]."""
        set_threads(1 if len(embeddings) <= BATCH else self._threads)  # each thread of Python has its own such number
        found = self._index.search(embeddings, count, self._search, deleted=self._deleted, passing=passing)
        # Rounding and coded indexes lead a little beyond the range of a cosine.
        return found._replace(scores=found.scores.clip(-1, 1))

    def found(self, embeddings: Floats, count: int, passing: Passing | None) -> tuple[list[Found], frozenset[int]]:
        """Return what `neighbours` finds with what the table says of each row, and which queries were widened."""
        found = self.neighbours(embeddings, count, passing)
        pairs = zip(found.scores.tolist(), found.rows.tolist(), strict=True)
        known = [[(score, row, self._records[row]) for score, row in zip(*one, strict=True)] for one in pairs]
        return known, frozenset(found.widened.tolist())
