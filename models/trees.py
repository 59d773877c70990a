"""The body of a boosted model: xgboost's trees read from its file, walked and explained without xgboost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import ModelDamaged
from models.forest import Forest, Singles, both_defaults, check_trees, join
from models.interface import Margins
from models.tree_shap import Paths, contributions
from models.ubjson import Reader, arrays_document

Floats = NDArray[np.float64]


def trees_file(boosters: Sequence[bytes], refits: Sequence[bytes]) -> bytes:
    """The file of a boosted model: xgboost's own document for each part, then one document of all the refits.

    ``boosters``, ``refits``: what xgboost saves as UBJ; the refits part by part. xgboost's documents repeat twenty
    names for each tree; thousands of refitted trees joined take a fifth of the room and a tenth of the time to read.
    """
    joined = join([Reader(document).document() for document in refits]) if refits else None
    return b"".join([*boosters, arrays_document(joined)] if joined else boosters)


@dataclass(frozen=True, slots=True)
class TreeBody:
    """``main`` has one group per part, ``refits`` explained x refits groups (or is None); ``paths`` explain."""

    main: Forest
    refits: Forest | None
    paths: Paths
    explained: int

    @classmethod
    def read(cls, data: bytes, parts: int, explained: int, columns: int) -> TreeBody:
        """From the bytes of ``trees_file``. Raises ``ModelDamaged`` if they are not that."""
        reader, documents = Reader(data), []
        while reader:
            documents.append(reader.document())
        if not parts <= len(documents) <= parts + 1:
            raise ModelDamaged("the trees file does not hold as many boosters as the model says")
        main = check_trees(join(documents[:parts]), columns)
        refits = [check_trees(document, columns) for document in documents[parts:]]
        if any(len(trees.starts) % explained for trees in refits):
            raise ModelDamaged("the trees file does not hold the same number of refits for each part")
        refit_forest = Forest.of(refits[0], columns) if refits else None
        return cls(Forest.of(main, columns), refit_forest, Paths.of(main.groups(explained), columns), explained)

    def margins(self, values: Floats, with_refits: bool = True) -> Margins:
        """Margins of the matrix ``values`` (n, columns)."""
        x = self.prepare(values)
        return Margins(self.main_of(x), self.refits_of(x)) if with_refits else Margins(self.main_of(x))

    def prepare(self, values: Floats) -> Singles:
        """What the methods ``..._of`` take: the matrix ``values`` (n, columns) with both answers to the unknown."""
        return both_defaults(values)

    def main_of(self, x: Singles) -> Floats:
        """Margins (n, parts) from prepared rows."""
        return self.main.margins(x)

    def refits_of(self, x: Singles) -> Floats:
        """Those of the refits, (n, explained, refits), from prepared rows."""
        if self.refits is None:
            return np.empty((len(x), self.explained, 0))
        return self.refits.margins(x).reshape(len(x), self.explained, -1)

    def contributions(self, values: Floats, explained: int) -> tuple[Floats, Floats]:
        """TreeSHAP: the bias of each explained part (explained,) and what each column adds (n, explained, columns)."""
        return self.contributions_of(self.prepare(values), explained)

    def contributions_of(self, x: Singles, explained: int) -> tuple[Floats, Floats]:
        """``contributions`` from prepared rows."""
        return self.paths.base, contributions(self.paths, x)
