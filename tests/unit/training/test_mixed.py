"""The network for numbers and categories: what it prepares by itself."""

import onnxruntime
import torch

from training.answers import Answer, split_into
from training.export import export
from training.networks.mixed import FillMissing, MixedClassifier, OneHot
from training.networks.served import Served, softmax

NAN = torch.nan
NUMBERS = torch.tensor([[1.0, NAN, 5.0], [2.0, 4.0, 5.0], [9.0, 6.0, 5.0], [3.0, 8.0, 5.0]])
CATEGORIES = torch.tensor([[0, 2], [1, 0], [1, 1], [0, 2]])
TARGETS = torch.tensor([0, 1, 1, 0])


def network(*, indicators: bool = True) -> MixedClassifier:
    inputs = {"numbers": NUMBERS, "categories": CATEGORIES}
    return MixedClassifier(inputs, TARGETS, sizes=(2, 3), hidden=(4,), dropout=0.5, indicators=indicators).eval()


def test_a_missing_number_becomes_the_median_and_is_flagged_where_some_were_missing() -> None:
    filled = FillMissing.fitted(NUMBERS, indicators=True)(torch.tensor([[NAN, NAN, NAN], [1.0, 2.0, 3.0]]))

    assert filled.tolist() == [[2.0, 6.0, 5.0, 1.0], [1.0, 2.0, 3.0, 0.0]]
    assert FillMissing.fitted(NUMBERS, indicators=False)(NUMBERS).shape == (4, 3)


def test_a_category_is_a_one_in_its_place_and_a_place_that_is_none_has_no_one() -> None:
    assert OneHot((2, 3))(torch.tensor([[1, 0], [0, 2], [5, -1]])).tolist() == [
        [0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]


def test_every_answer_is_a_finite_number_whatever_is_missing_or_huge() -> None:
    numbers = torch.tensor([[NAN, NAN, NAN], [1e30, -1e30, 0.0]])
    for one in (network(), network(indicators=False)):
        assert one(numbers, CATEGORIES[:2]).isfinite().all()


def test_the_exported_graph_takes_raw_numbers_with_gaps_and_places_of_categories() -> None:
    split = split_into((Answer("probabilities", "probabilities", "y", "", labels=("no", "yes")),))
    served = Served([network(), network()], softmax, split, calibrated=True).eval()
    inputs = {"numbers": NUMBERS, "categories": CATEGORIES}

    graph = onnxruntime.InferenceSession(export(served, inputs, ["probabilities"]))

    assert {one.name: one.type for one in graph.get_inputs()} == {
        "numbers": "tensor(float)",
        "categories": "tensor(int64)",
    }
    [given] = graph.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    torch.testing.assert_close(torch.from_numpy(given), served(inputs)[0].detach())
