"""A query: an image or vectors -> hits, as values. What cli, web and bench use; nothing here prints."""

from simsearch.search.question import Answer, Hit, Judgement, Question, Verdict
from simsearch.search.searcher import Searcher

__all__ = ["Answer", "Hit", "Judgement", "Question", "Searcher", "Verdict"]
