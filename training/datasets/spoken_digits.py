"""Spoken digits, zero to nine in English: 3,000 clips by one synthesiser to learn from, and others only to test with.

No package ships recordings of many speakers, so espeak-ng speaks them here, in 60 voices and 8 accents, each clip at
its own speed and pitch: always the same ones. What a network learnt of voices, not of espeak-ng, shows in what it
makes of flite, another synthesiser, and of two people: Allison Smith, who speaks Asterisk's announcements, and the one
who speaks the package captcha. Those two are twenty clips: an anecdote, not a measure.

Every clip lasts a second: mono, 8 kHz, the sound in its middle, silence around it.
"""

import hashlib
import itertools
import re
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from tqdm import tqdm

from training.datasets.dataset import SPLIT_SEED, Column, Dataset, Rows, Target, fingerprint
from training.datasets.fetched import alone, cache, debian, pypi, sha256_of
from training.datasets.sounds import at_level, in_noise, placed
from training.errors import DataNotFetched

LICENCE = "none needed: made here, by a program under GPL-3.0-or-later"

FLITE_LICENCE = "none needed: made here, by a program under a licence like BSD's"

ASTERISK_PACKAGE = ("asterisk-core-sounds-en-wav", "1.6.1-1")
ASTERISK_FOLDER = "usr/share/asterisk/sounds/en_US_f_Allison/digits/"
ASTERISK_SHA256 = "eedb17b00b41ca45d76e82604fc016c856656b27ffa0cba859232d1ae21d84a0"
ASTERISK_LICENCE = "CC BY-SA 3.0, Allison Smith"

CAPTCHA_PACKAGE = ("captcha", "0.7.1")
CAPTCHA_FOLDER = "captcha/data/"
CAPTCHA_SHA256 = "b2ffcc059aca5c2c85b058d6e41a81d02e238505518727b90579d84566f33bca"
CAPTCHA_LICENCE = "BSD-3-Clause"

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE_HZ = 8000
SILENCE = 0.02
"""What is quieter than this share of a clip's loudest sample, before its first and after its last louder one, goes."""

SEED = 42
ROUNDS = 5
"""How often each voice speaks the ten digits."""

ACCENTS = (
    *("en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp"),
    *("en-us", "en-us-nyc", "en-029"),
)
SPEEDS_WORDS_PER_MINUTE = (110, 230)
PITCHES = (15, 90)
"""On espeak-ng's scale of 0 to 99."""

VOICES = (
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee"),
    *("Mario", "Michael", "Mike", "Nguyen", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris"),
    *("caleb", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "iven", "john"),
    *("linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "miguel", "pablo", "paul"),
    *("pedro", "quincy", "rob", "robert", "shelby", "steph", "travis", "victor"),
)
"""Variants of espeak-ng 1.51. Left out: robots, whispers and effects, and all but one of those that sound alike, for a
twin of a voice to learn from would make a held-out voice an easy one."""

HELD_OUT_VOICES = 0.2
"""Share of the voices for validation, and as many for test."""

QUIET_DECIBELS, NOISE_DECIBELS = -20.0, 10.0
"""How much quieter a quiet clip is, and how much weaker than the whole clip a noise."""

FLITE_VOICES = ("awb", "kal", "kal16", "rms", "slt")
FLITE_STRETCHES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
"""How much longer than usual a voice takes."""


@dataclass(frozen=True)
class Clips:
    """sounds: (rows, 8000) int16; digits: (rows,) int64; voices: (rows,) text, whose voice it is, to hold voices out;
    source: who made them, the version of a synthesiser included."""

    sounds: NDArray[np.int16]
    digits: NDArray[np.int64]
    voices: NDArray[np.str_]
    source: str


@dataclass(frozen=True)
class Line:
    """One clip to be made. command: its last argument is the option that names the file, which follows."""

    digit: int
    voice: str
    command: tuple[str, ...]


def load() -> Dataset:
    """Held-out voices, their clips as callers send them. Raises DataNotFetched."""
    clips = raw()
    elsewhere()  # what the model's card needs is missed before minutes of training, not behind them
    train, validation, test = (_rows(clips, np.isin(clips.voices, voices)) for voices in _parts(clips.voices))
    kinds = as_sent(test.inputs["clip"])
    count = len(test)
    return Dataset(
        name="Spoken digits by espeak-ng",
        source=clips.source,
        licence=LICENCE,
        sha256=fingerprint(clips.sounds, clips.digits),
        columns={
            "clip": (
                Column(
                    "clip",
                    "One English word from zero to nine, anywhere in its second",
                    kind="audio",
                    shape=(RATE_HZ,),
                    sample_rate=RATE_HZ,
                ),
            )
        },
        target=Target("word", "The digit that was said", labels=WORDS),
        split=f"by voice: {1 - 2 * HELD_OUT_VOICES:.0%} of the {len(VOICES)} train, {HELD_OUT_VOICES:.0%} validation, "
        f"{HELD_OUT_VOICES:.0%} test, fixed by seed {SPLIT_SEED}, whatever the seed of the run; every test clip counts "
        f"{len(kinds)} times, as callers may send it, of the validation clips a quarter each",
        train=train,
        validation=_a_quarter_each(validation),
        test=Rows({"clip": torch.cat([*kinds.values()])}, test.targets.repeat(len(kinds))),
        groups={kind: np.arange(len(kinds) * count) // count == place for place, kind in enumerate(kinds)},
        blocks=np.tile(np.arange(count), len(kinds)),
        outside_graph=(
            "a sound becomes the mean of its channels, at 8,000 samples a second, with silence behind; the caller cuts "
            "a longer one to the second that has the word",
        ),
    )


def elsewhere() -> dict[str, Rows]:
    """Whom a network that learnt from espeak-ng has never heard, by who speaks. Raises DataNotFetched."""
    flite, human = other_synthesiser(), people()
    return {
        f"{name} {voice}".strip(): _rows(clips, clips.voices == voice)
        for name, clips in (("flite", flite), ("", human))
        for voice in dict.fromkeys(clips.voices.tolist())
    }


def as_sent(sounds: Tensor) -> dict[str, Tensor]:
    """Clips (rows, 8000) as callers send them, in words -> (rows, 8000); always the same ones."""

    def chance() -> Generator:
        return Generator().manual_seed(SEED)

    moved = placed(sounds, chance())
    decibels = torch.ones(len(sounds))
    kinds = {
        "in the middle": sounds,
        "anywhere in the second": moved,
        "the same, 20 dB quieter": at_level(moved, QUIET_DECIBELS * decibels),
        "the same, in noise 10 dB below": in_noise(moved, NOISE_DECIBELS * decibels, chance()),
    }
    return {kind: (32768 * sent).round().clamp(-32768, 32767) / 32768 for kind, sent in kinds.items()}


def raw() -> Clips:
    """3,000 clips by espeak-ng, 50 of each voice. Raises DataNotFetched if they have yet to be made and it is missing.

    Made once, in about 40 seconds. Another version than 1.51 may make other sounds; the source says which did.
    """
    return _made("espeak-ng", lines())


def other_synthesiser() -> Clips:
    """400 clips by flite, 80 of each of five voices. Raises as `raw` does."""
    chosen = itertools.product(FLITE_VOICES, FLITE_STRETCHES, enumerate(WORDS))
    spoken = [
        Line(digit, voice, ("flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", word, "-o"))
        for voice, stretch, (digit, word) in chosen
    ]
    return _made("flite", spoken)


def people() -> Clips:
    """Ten clips by Allison Smith, ten by the voice of captcha, whom it does not name. Raises DataNotFetched."""
    asterisk = debian(*ASTERISK_PACKAGE, ASTERISK_FOLDER, ASTERISK_SHA256)
    captcha = pypi(*CAPTCHA_PACKAGE, CAPTCHA_FOLDER, CAPTCHA_SHA256)
    files = [asterisk / f"{digit}.wav" for digit in range(10)]
    files += [captcha / str(digit) / "default.wav" for digit in range(10)]
    return Clips(
        np.stack([second(file) for file in files]),
        np.tile(np.arange(10), 2),
        np.repeat(["Allison Smith", "captcha"], 10),
        "Debian asterisk-core-sounds-en-wav 1.6.1-1, digits/; captcha 0.7.1 on PyPI, captcha/data/",
    )


def lines() -> list[Line]:
    """What espeak-ng is to say. All ten digits in every voice, ROUNDS times; accent, speed and pitch are drawn."""
    draw = np.random.default_rng(SEED)
    spoken = []
    for _, voice, (digit, word) in itertools.product(range(ROUNDS), VOICES, enumerate(WORDS)):
        accent = ACCENTS[draw.integers(len(ACCENTS))]
        speed, pitch = (str(draw.integers(low, high + 1)) for low, high in (SPEEDS_WORDS_PER_MINUTE, PITCHES))
        command = ("espeak-ng", "-v", f"{accent}+{voice}", "-s", speed, "-p", pitch, word, "-w")
        spoken.append(Line(digit, voice, command))
    return spoken


def second(file: Path) -> NDArray[np.int16]:
    """(8000,): a sound file without the silence at its ends, in the middle of a second; of a longer one, its start."""
    sound, rate = soundfile.read(file, dtype="float32")
    sound = soxr.resample(sound, rate, RATE_HZ)
    loud = np.flatnonzero(np.abs(sound) > SILENCE * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1][:RATE_HZ]
    before = (RATE_HZ - len(sound)) // 2
    clip = np.pad(sound, (before, RATE_HZ - len(sound) - before))
    samples: NDArray[np.int16] = np.clip(np.rint(clip * 32768), -32768, 32767).astype(np.int16)
    return samples


def _parts(voices: NDArray[np.str_]) -> tuple[NDArray[np.str_], ...]:
    """Whose clips are for training, validation and test: every voice is in one of them."""
    order = np.random.default_rng(SPLIT_SEED).permutation(np.unique(voices))
    held_out = round(HELD_OUT_VOICES * len(order))
    return order[2 * held_out :], order[held_out : 2 * held_out], order[:held_out]


def _rows(clips: Clips, chosen: NDArray[np.bool_]) -> Rows:
    sounds = torch.from_numpy(clips.sounds[chosen].astype(np.float32) / 32768)
    return Rows({"clip": sounds}, torch.from_numpy(clips.digits[chosen]))


def _a_quarter_each(rows: Rows) -> Rows:
    """Each clip in one of the ways that it may be sent, in turn."""
    kinds = torch.stack([*as_sent(rows.inputs["clip"]).values()])  # (kinds, rows, samples)
    place = torch.arange(len(rows))
    return Rows({"clip": kinds[place % len(kinds), place]}, rows.targets)


def _made(program: str, spoken: Sequence[Line]) -> Clips:
    """The clips from the cache, or else made and put there. The name changes with whatever changes a clip."""
    parameters = hashlib.sha256(repr(([astuple(line) for line in spoken], RATE_HZ, SILENCE)).encode()).hexdigest()
    place = cache() / "made" / f"spoken_digits-{program}-{len(spoken)}-{parameters[:12]}.npz"
    clips = _cached(place)
    if clips:
        return clips
    with alone(place) as folder:
        clips = _cached(place) or _spoken(program, spoken, folder)
        np.savez_compressed(folder / "clips.npz", **vars(clips))
        place.with_suffix(".sha256").write_text(str(sha256_of(folder / "clips.npz")))
        (folder / "clips.npz").replace(place)
    return clips


def _cached(place: Path) -> Clips | None:
    """None if there are none, or not as they were written."""
    written = place.with_suffix(".sha256")
    if not written.exists() or sha256_of(place) != written.read_text():
        return None
    with np.load(place) as kept:
        return Clips(kept["sounds"], kept["digits"], kept["voices"], str(kept["source"]))


def _spoken(program: str, spoken: Sequence[Line], folder: Path) -> Clips:
    version = re.search(r"\d+\.\d+(\.\d+)*", _run((program, "--version")).stdout)
    sounds = np.zeros((len(spoken), RATE_HZ), np.int16)
    for row, line in enumerate(tqdm(spoken, desc=program, unit="clip", disable=None)):
        done = _run((*line.command, str(folder / "clip.wav")))
        if done.returncode:
            raise DataNotFetched(f"{' '.join(line.command[:-1])}: {done.stderr.strip()}")
        sounds[row] = second(folder / "clip.wav")
    return Clips(
        sounds,
        np.array([line.digit for line in spoken], np.int64),
        np.array([line.voice for line in spoken]),
        f"synthesised by {program} {version.group() if version else ''}".strip(),
    )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DataNotFetched(f"{command[0]} is not installed: apt-get install espeak-ng flite") from None
