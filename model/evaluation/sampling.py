"""How sure a mean is: bootstrap by repository, because tasks of one repository are not independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RESAMPLES = 1000


def interval(values: Sequence[float], repositories: Sequence[str]) -> tuple[float, float]:
    """95 % interval of the mean of `values` when whole repositories are drawn anew.

    Of paired differences (Efron and Tibshirani 1993, section 8.3) it says whether two systems differ on these tasks.
    """
    _, group = np.unique(np.array(repositories), return_inverse=True)
    sizes = np.bincount(group)
    sums = np.bincount(group, weights=np.array(values))
    drawn = np.random.default_rng(0).integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
