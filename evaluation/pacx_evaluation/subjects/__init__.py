"""What can be evaluated: anything that turns radiographs into embeddings."""

from pacx_evaluation.subjects.cache import EmbeddingCache
from pacx_evaluation.subjects.encoder import Encoder, Film, Identity
from pacx_evaluation.subjects.opening import open_subject

__all__ = ["EmbeddingCache", "Encoder", "Film", "Identity", "open_subject"]
