"""Garments: 28 x 28 grey pixels to one of ten kinds, by a convolutional network.

Expect: accuracy .923 on the makers' test rows (seed 42; .936 on validation, which is easier for a forest too),
a random forest .868; six minutes of one core. On validation the forest has .884, logistic regression .862.
Source: three blocks of convolutions with batch normalisation, each of which halves the picture; half of them mirrored.
Data: Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, who turned photos on white into light on dark. The network does the
same to a picture whose border is bright; none of the 70,000 has such a border, so nothing is lost by it.
"""

from functools import partial

from torch.nn.functional import cross_entropy

from training.baselines import random_forest
from training.datasets import fashion_mnist
from training.datasets.augment import shift_and_rotate
from training.fit import Steps
from training.metrics import ACCURACY, CROSS_ENTROPY
from training.networks.convnet import ConvNet
from training.networks.served import softmax
from training.recipe import Recipe
from training.schedules import one_cycle

recipe = Recipe(
    title="Garments, 28 x 28",
    task="image classification",
    description="Which of ten kinds of garment a small grey picture shows.",
    intended_use="Teaching and testing: a file with a picture to a class, by a small convolutional network.",
    limits="Single garments of one shop from before 2017, cut to their outline, centred and scaled to 28 x 28, light "
    "on dark. A picture with a bright border, such as a product on white, is turned round in the graph first, as the "
    "data were when they were made; a file that is no square is stretched to one. Garments that are worn, on a "
    "patterned ground or in a corner are nothing it has seen, and it always names one of the ten kinds. Shirts are "
    "often taken for T-shirts, pullovers and coats, and the other way round.",
    dataset=fashion_mnist.load,
    network=partial(ConvNet, brightest=255.0, channels=12, dropout=0.3, blocks=3, either_ground=True),
    steps=Steps(
        loss=cross_entropy,
        epochs=6,
        batch_size=64,
        learning_rate=1e-3,
        weight_decay=0.05,
        patience=6,
        schedule=partial(one_cycle, peak=5.0),
        augment=partial(shift_and_rotate, pixels=0, degrees=0, mirrored=True),
    ),
    head=softmax,
    measures=(ACCURACY, CROSS_ENTROPY),
    baseline=random_forest,
    accept={"accuracy": 0.92},
)
