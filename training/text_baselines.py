"""The simple way to tell classes of texts apart; what it can choose, it chooses on validation."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.metrics import cross_entropy

STRENGTHS = (0.1, 0.01, 0.001)
"""Of the L2 penalty."""


def tf_idf(train: Rows, validation: Rows) -> Baseline:
    """Logistic regression on the words and pairs of words of the whole texts, each of two training texts or more."""
    weigh = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    table, checked = weigh.fit_transform(_texts(train)), weigh.transform(_texts(validation))

    def fitted(strength: float) -> tuple[float, LogisticRegression]:
        model = LogisticRegression(C=1 / strength, max_iter=10_000).fit(table, train.targets.numpy())
        return cross_entropy(model.predict_proba(checked), validation.targets.numpy()), model

    models = {strength: fitted(strength) for strength in STRENGTHS}
    best = min(models, key=lambda strength: models[strength][0])
    description = f"logistic regression on TF-IDF of words and pairs (L2 {best:g})"
    return Baseline(description, lambda rows: models[best][1].predict_proba(weigh.transform(_texts(rows))))


def _texts(rows: Rows) -> list[str]:
    [texts] = rows.texts.values()
    return [text for [text] in texts]
