"""Gradient boosted trees (Friedman, 2001) of one small depth, with histograms: enough for a small ranker.

Log loss, second-order leaves with L2 as in XGBoost (arXiv 1603.02754, 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.recall.ranking import Forest

_BINS = 48


@dataclass(frozen=True)
class BoostingConfig:
    trees: int = 90
    depth: int = 3
    rate: float = 0.12
    l2: float = 5.0
    least: float = 3.0  # hessian in a leaf


def fit_forest(table: np.ndarray, right: np.ndarray, config: BoostingConfig = BoostingConfig()) -> Forest:
    """`table` float [n, features], `right` [n] of 0 and 1 -> a forest that predicts `right`."""
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1])) for column in table.T]
    binned = np.stack([np.searchsorted(e, column) for e, column in zip(edges, table.T, strict=True)], axis=1)
    rate = float(np.clip(right.mean(), 1e-6, 1 - 1e-6))
    bias = float(np.log(rate / (1 - rate)))
    scores = np.full(len(right), bias)
    features, thresholds, values = [], [], []
    for _ in range(config.trees):
        chances = 1 / (1 + np.exp(-scores))
        split, cut, leaves, leaf = _fit_tree(binned, chances - right, chances * (1 - chances), config)
        scores += leaves[leaf]
        features.append(split)
        thresholds.append(
            [edges[j][b] if b < len(edges[j]) else np.inf for j, b in zip(split, cut, strict=True)]
        )
        values.append(leaves)
    return Forest(
        np.array(features), np.nan_to_num(np.array(thresholds), posinf=1e30), np.array(values), bias
    )


def _fit_tree(
    binned: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, config: BoostingConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Feature and bin of each inner node (right is above the bin), leaf values, and each row's leaf."""
    n_inner, rows = 2**config.depth - 1, np.arange(len(binned))
    split, cut = (
        np.zeros(n_inner, np.int64),
        np.full(n_inner, _BINS),
    )  # a node that does not split sends all left
    node = np.zeros(len(binned), np.int64)
    for level in range(config.depth):
        first, n = 2**level - 1, 2**level
        split[first : first + n], cut[first : first + n] = _best_splits(
            binned, node - first, n, gradient, hessian, config
        )
        node = 2 * node + 1 + (binned[rows, split[node]] > cut[node])
    leaf = node - n_inner
    sums = [np.bincount(leaf, values, n_inner + 1) for values in (gradient, hessian)]
    return split, cut, -config.rate * sums[0] / (sums[1] + config.l2), leaf


def _best_splits(
    binned: np.ndarray,
    node: np.ndarray,
    n: int,
    gradient: np.ndarray,
    hessian: np.ndarray,
    config: BoostingConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """For each of `n` nodes the feature and bin that gain most."""
    split, cut, best = np.zeros(n, np.int64), np.full(n, _BINS), np.full(n, 1e-6)
    for j in range(binned.shape[1]):
        place = node * _BINS + binned[:, j]
        g, h = (
            np.bincount(place, v, n * _BINS).reshape(n, _BINS).cumsum(axis=1) for v in (gradient, hessian)
        )
        g_all, h_all = g[:, -1:], h[:, -1:]
        gain = _worth(g, h, config) + _worth(g_all - g, h_all - h, config) - _worth(g_all, h_all, config)
        gain[(h < config.least) | (h_all - h < config.least)] = 0.0
        at = gain.argmax(axis=1)
        better = gain[np.arange(n), at] > best
        split[better], cut[better], best[better] = j, at[better], gain[np.arange(n), at][better]
    return split, cut


def _worth(gradient: np.ndarray, hessian: np.ndarray, config: BoostingConfig) -> np.ndarray:
    return np.asarray(gradient**2 / (hessian + config.l2))
