"""Reading documents into text whose character positions can be quoted."""

from workers.corpus.reading import Document, read_folder
from workers.corpus.sentences import Sentence, salient

__all__ = ["Document", "Sentence", "read_folder", "salient"]
