"""Reading documents into text whose character positions can be quoted."""

from workers.corpus.reading import Document, read_folder
from workers.corpus.salience import Finding, salient
from workers.corpus.sentences import Span, spans

__all__ = ["Document", "Finding", "Span", "read_folder", "salient", "spans"]
