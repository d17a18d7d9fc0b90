"""Gradient boosted trees of one small depth by LightGBM, as the complete trees of numpy that recall is served with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.recall.ranking import Forest

_NEVER = 1e30  # a threshold that nothing is above: all rows go left


@dataclass(frozen=True)
class BoostingConfig:
    """`l2`: on the leaves; `least`: rows in a leaf."""

    trees: int = 250
    depth: int = 4
    rate: float = 0.1
    l2: float = 5.0
    least: int = 20


def fit_forest(table: np.ndarray, right: np.ndarray, config: BoostingConfig = BoostingConfig()) -> Forest:
    """`table` float [n, features], `right` [n] of 0 and 1 -> a forest that predicts `right`. The same on each run."""
    import lightgbm  # of the extra [train]

    options = {
        "objective": "binary",
        "max_depth": config.depth,
        "num_leaves": 2**config.depth,
        "learning_rate": config.rate,
        "lambda_l2": config.l2,
        "min_data_in_leaf": config.least,
        "boost_from_average": False,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 1,
        "verbose": -1,
    }
    rate = float(np.clip(np.mean(right), 1e-6, 1 - 1e-6))
    bias = float(np.log(rate / (1 - rate)))
    data = lightgbm.Dataset(table, right, init_score=np.full(len(right), bias))
    dumped = lightgbm.train(options, data, config.trees).dump_model()
    n_inner = 2**config.depth - 1
    features = np.zeros((config.trees, n_inner), np.int64)
    thresholds = np.full((config.trees, n_inner), _NEVER)
    values = np.zeros((config.trees, n_inner + 1))
    for n, tree in enumerate(dumped["tree_info"]):
        _complete(tree["tree_structure"], 0, n_inner, features[n], thresholds[n], values[n])
    return Forest(features, thresholds, values, bias)


def _complete(
    node: Mapping[str, Any],
    place: int,
    n_inner: int,
    features: np.ndarray,
    thresholds: np.ndarray,
    values: np.ndarray,
) -> None:
    """Write a tree from `place` in heap order on; below a leaf that comes early all rows go left."""
    if "leaf_value" in node:
        while place < n_inner:
            place = 2 * place + 1
        values[place - n_inner] = node["leaf_value"]
        return
    features[place], thresholds[place] = node["split_feature"], node["threshold"]
    for side, child in ((1, "left_child"), (2, "right_child")):
        _complete(node[child], 2 * place + side, n_inner, features, thresholds, values)
