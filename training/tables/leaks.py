"""Features that know the answer: the target under another name, and what gives it away on its own."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from training.tables.columns import Found
from training.tables.goal import Goal

SAME = 0.999999
NEARLY = 0.995


def equals(found: Found, goal: Goal) -> bool:
    """Whether the feature is the target in other words: each of its values stands for one of the target's."""
    if found.kind == "text" or found.missing:
        return False
    if not goal.labels:
        return found.kind != "category" and _correlation(found, goal) >= SAME
    codes, names = pd.factorize(found.values)
    return len(names) == len(goal.labels) and len(set(zip(codes, goal.values, strict=True))) == len(names)


def gives_away(found: Found, goal: Goal) -> bool:
    """Whether the feature alone nearly tells the target."""
    if found.kind == "text":
        return False
    if not goal.labels:
        return found.kind != "category" and _correlation(found, goal) >= NEARLY
    if found.kind == "category":
        return _purity(found, goal) >= NEARLY
    return len(goal.labels) == 2 and _separation(found, goal) >= NEARLY


def _correlation(found: Found, goal: Goal) -> float:
    known = found.values.notna().to_numpy()
    ours, theirs = found.values.to_numpy()[known], goal.values[known]
    if len(ours) < 3 or ours.std() == 0 or theirs.std() == 0:
        return 0.0
    return float(abs(np.corrcoef(ours, theirs)[0, 1]))


def _purity(found: Found, goal: Goal) -> float:
    """Share of the rows whose class is the commonest of their category, where categories have ten rows on average."""
    codes, names = pd.factorize(found.values, use_na_sentinel=False)
    if len(names) > len(codes) / 10:
        return 0.0
    counts = pd.crosstab(codes, goal.values)
    return float(counts.max(axis=1).sum() / len(codes))


def _separation(found: Found, goal: Goal) -> float:
    """The area under the ROC curve of the value itself, whichever class is above."""
    known = found.values.notna().to_numpy()
    ranks, positive = rankdata(found.values.to_numpy()[known]), goal.values[known] == 1
    hits, others = int(positive.sum()), int((~positive).sum())
    if not hits or not others or known.mean() < 0.5:
        return 0.0
    area = (ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others)
    return float(max(area, 1 - area))
