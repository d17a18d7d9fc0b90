"""Files and vectors of a repository: an index that is kept up to date and searched at a cursor.

Imports nothing else of this project; what turns text into vectors is handed in as an `Embedder`.
"""

from indexer.cache_folder import default_cache_dir
from indexer.cursor_extent import extent_at
from indexer.damage import CacheError
from indexer.extents import TAB_COLUMNS, Extent, columns
from indexer.hierarchy import Embedder, Vectors
from indexer.import_places import with_import
from indexer.index import Index
from indexer.languages import (
    BRACES,
    INDENTATION,
    LANGUAGES,
    Language,
    is_scoped,
    known_language,
    language_named,
    language_of,
)
from indexer.lexis import PLAIN, Lexis, lexis_of
from indexer.line_index import LineIndex, LinePlace, Lines
from indexer.mirrors import Tokenized
from indexer.parsing import has_grammar, missing_grammars
from indexer.progress import IndexStage, Progress, UpdateReport
from indexer.query import Hit, Query
from indexer.rules import IGNORED, SECRET, Gate, relative_path
from indexer.scanning import PAIRS, Above, Opened, near_lines, opened_before, read_above, scan
from indexer.scopes import Syntax
from indexer.secret_contents import kind_of_secret, looks_secret
from indexer.settings import IndexSettings, RetrievalSettings
from indexer.soundness import sound_part
from indexer.stats import IndexStats
from indexer.suffix_index import Match, SuffixIndex
from indexer.token_cache import Tokenizer
from indexer.watcher import Watcher

__all__ = [
    "BRACES",
    "IGNORED",
    "INDENTATION",
    "LANGUAGES",
    "PAIRS",
    "PLAIN",
    "SECRET",
    "TAB_COLUMNS",
    "Above",
    "CacheError",
    "Embedder",
    "Extent",
    "Gate",
    "Hit",
    "Index",
    "IndexSettings",
    "IndexStage",
    "IndexStats",
    "Language",
    "Lexis",
    "LineIndex",
    "LinePlace",
    "Lines",
    "Match",
    "Opened",
    "Progress",
    "Query",
    "RetrievalSettings",
    "SuffixIndex",
    "Syntax",
    "Tokenized",
    "Tokenizer",
    "UpdateReport",
    "Vectors",
    "Watcher",
    "columns",
    "default_cache_dir",
    "extent_at",
    "has_grammar",
    "is_scoped",
    "kind_of_secret",
    "known_language",
    "language_named",
    "language_of",
    "lexis_of",
    "looks_secret",
    "missing_grammars",
    "near_lines",
    "opened_before",
    "read_above",
    "relative_path",
    "scan",
    "sound_part",
    "with_import",
]
