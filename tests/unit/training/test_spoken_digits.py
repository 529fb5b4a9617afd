"""How clips are made, kept and cut, with programs written here in the place of the synthesisers."""

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from training.datasets import spoken_digits
from training.datasets.dataset import Dataset, Rows
from training.datasets.fetched import cache
from training.datasets.spoken_digits import Clips
from training.errors import DataNotFetched

SYNTHESISER = f"""#!{sys.executable} -S
import math, os, struct, sys, wave, zlib
if sys.argv[1:] == ["--version"]:
    print("eSpeak NG text-to-speech: 9.87  Data at: /somewhere")
    sys.exit(1)  # as flite does
with open(os.environ["SPOKEN"], "a") as spoken:
    print(*sys.argv[1:-1], file=spoken)
loudness = 1000 + zlib.crc32(" ".join(sys.argv[1:-1]).encode()) % 20000
tone = [round(loudness * math.cos(at / 20)) for at in range(2205)]
with wave.open(sys.argv[-1], "wb") as file:
    file.setparams((1, 2, 22050, 0, "NONE", ""))
    file.writeframes(struct.pack("<6615h", *[0] * 2205, *tone, *[0] * 2205))
"""


@pytest.fixture
def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two voices twice; a synthesiser that says the same of the same words, and the file where it notes them."""
    return prepare(tmp_path, monkeypatch, ("anna", "bob"), 2)


def prepare(folder: Path, patched: pytest.MonkeyPatch, voices: tuple[str, ...], rounds: int) -> Path:
    patched.setattr(spoken_digits, "VOICES", voices)
    patched.setattr(spoken_digits, "ROUNDS", rounds)
    patched.setenv("HEADRACE_DATA", str(folder / "cache"))
    patched.setenv("SPOKEN", str(folder / "spoken"))
    patched.setenv("PATH", str(folder / "bin"))
    install(folder, SYNTHESISER)
    return folder / "spoken"


def install(folder: Path, program: str, name: str = "espeak-ng") -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(program)
    (folder / "bin" / name).chmod(0o700)


@dataclass(frozen=True)
class Loaded:
    dataset: Dataset
    clips: Clips
    elsewhere: dict[str, Rows]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Five voices once, one of another synthesiser, and a person."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patched:
        prepare(folder, patched, ("anna", "bob", "cem", "dora", "eli"), 1)
        install(folder, SYNTHESISER, "flite")
        patched.setattr(spoken_digits, "FLITE_VOICES", ("kal",))
        patched.setattr(spoken_digits, "FLITE_STRETCHES", (1.0,))
        clips = spoken_digits.raw()
        patched.setattr(spoken_digits, "people", lambda: replace(clips, voices=np.repeat("fay", 50)))
        return Loaded(spoken_digits.load(), clips, spoken_digits.elsewhere())


def test_no_clip_of_a_voice_is_in_two_parts_and_a_test_clip_is_there_in_every_way_that_it_may_be_sent(
    loaded: Loaded,
) -> None:
    dataset = loaded.dataset
    train, test = ({voice_of(loaded.clips, one) for one in rows.inputs["clip"][:30]} for rows in parts_as_made(dataset))

    assert (len(train), len(test), len(train & test)) == (3, 1, 0)
    assert [len(rows) for rows in (dataset.train, dataset.validation, dataset.test)] == [30, 10, 40]
    assert [group.sum() for group in dataset.groups.values()] == [10] * 4
    assert dataset.blocks is not None and Counter(dataset.blocks.tolist()) == dict.fromkeys(range(10), 4)
    assert dataset.test.targets.tolist() == [*range(10)] * 4


def parts_as_made(dataset: Dataset) -> tuple[Rows, Rows]:
    return dataset.train, dataset.test.take(torch.arange(10))


def voice_of(clips: Clips, sound: Tensor) -> str:
    [[place]] = np.nonzero((clips.sounds == (32768 * sound).numpy()).all(axis=1))
    return str(clips.voices[place])


def test_clips_as_they_are_sent_lie_anywhere_and_are_quiet_or_noisy_in_steps_of_16_bits(loaded: Loaded) -> None:
    sounds = loaded.dataset.test.inputs["clip"]
    middle, moved, quiet, noisy = (sounds[torch.from_numpy(rows)] for rows in loaded.dataset.groups.values())

    starts = (moved != 0).int().argmax(dim=1)
    assert len(set(starts.tolist())) > 5
    assert torch.equal(moved.sort(dim=1).values, middle.sort(dim=1).values)
    torch.testing.assert_close(quiet, moved / 10, rtol=0, atol=1 / 32768)
    ratio = (noisy - moved).square().mean(dim=1) / moved.square().mean(dim=1)
    torch.testing.assert_close(ratio, torch.full((10,), 0.1), rtol=0.05, atol=0)
    assert torch.equal(32768 * sounds, (32768 * sounds).round())


def test_the_validation_clips_are_sent_in_one_way_each(loaded: Loaded) -> None:
    sounds, clips = loaded.dataset.validation.inputs["clip"], loaded.clips
    as_made = clips.sounds[clips.voices == voice_of(clips, sounds[0])]

    kinds = [*spoken_digits.as_sent(torch.from_numpy(as_made.astype(np.float32) / 32768)).values()]

    assert torch.equal(sounds, torch.stack([kinds[place % 4][place] for place in range(10)]))


def test_voices_of_another_kind_are_kept_apart_by_who_speaks(loaded: Loaded) -> None:
    assert {who: len(rows) for who, rows in loaded.elsewhere.items()} == {"flite kal": 10, "fay": 50}


def test_clips_are_made_once(spoken: Path) -> None:
    first = spoken_digits.raw()
    spoken.unlink()
    second = spoken_digits.raw()

    assert not spoken.exists()
    np.testing.assert_array_equal(first.sounds, second.sounds)
    np.testing.assert_array_equal(first.voices, second.voices)
    assert first.source == second.source


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_damaged_clips_are_made_again(spoken: Path, damage: str) -> None:
    first = spoken_digits.raw()
    [file] = (cache() / "made").glob("*.npz")
    whole = file.read_bytes()
    half = len(whole) // 2
    changed = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    file.write_bytes({"cut": whole[:half], "changed": changed, "empty": b""}[damage])

    again = spoken_digits.raw()

    np.testing.assert_array_equal(again.sounds, first.sounds)
    np.testing.assert_array_equal(again.digits, first.digits)
    np.testing.assert_array_equal(again.voices, first.voices)
    assert len(spoken.read_text().splitlines()) == 80
    assert len(spoken_digits.raw().sounds) == 40
    assert len(spoken.read_text().splitlines()) == 80


def test_other_parameters_are_other_clips(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = spoken_digits.raw()
    monkeypatch.setattr(spoken_digits, "PITCHES", (0, 5))

    assert not np.array_equal(spoken_digits.raw().sounds, first.sounds)
    assert len(list((cache() / "made").glob("*.npz"))) == 2
    assert len(spoken.read_text().splitlines()) == 80


def test_a_synthesiser_that_is_not_installed_is_named_with_what_to_do(spoken: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "espeak-ng").unlink()

    with pytest.raises(DataNotFetched, match=r"^espeak-ng is not installed: apt-get install espeak-ng flite$"):
        spoken_digits.raw()
    with pytest.raises(DataNotFetched, match=r"^flite is not installed: apt-get install espeak-ng flite$"):
        spoken_digits.other_synthesiser()
    assert not spoken.exists()
    assert not list((cache() / "made").glob("*.npz"))


def test_a_synthesiser_that_fails_is_quoted(spoken: Path, tmp_path: Path) -> None:
    install(tmp_path, f'#!{sys.executable} -S\nimport sys\nif len(sys.argv) > 2:\n    sys.exit("no such voice")\n')

    with pytest.raises(DataNotFetched, match=r"^espeak-ng -v en.*\+anna -s \d+ -p \d+ zero: no such voice$"):
        spoken_digits.raw()
    assert not spoken.exists()


def test_of_three_thousand_lines_every_voice_has_fifty_and_no_two_are_the_same() -> None:
    lines = spoken_digits.lines()

    assert set(Counter(line.voice for line in lines).values()) == {50}
    assert set(Counter(line.digit for line in lines).values()) == {300}
    assert len({line.command for line in lines}) == len(lines) == 3000
    assert lines == spoken_digits.lines()
    speeds, pitches = ({int(line.command[at]) for line in lines} for at in (4, 6))
    assert (min(speeds), max(speeds), min(pitches), max(pitches)) == (110, 230, 15, 90)
    assert {line.command[2].split("+")[0] for line in lines} == set(spoken_digits.ACCENTS)


@pytest.mark.parametrize(("lasts_s", "kept"), [(0.5, 4000), (2.0, 8000)])
def test_a_sound_is_put_in_the_middle_of_its_second_or_cut_to_it(tmp_path: Path, lasts_s: float, kept: int) -> None:
    tone = 0.5 * np.cos(np.arange(int(16_000 * lasts_s)) / 10)
    quiet = np.full(5000, 0.001)
    soundfile.write(tmp_path / "tone.wav", np.concatenate([quiet, tone, quiet]), 16_000)

    clip = spoken_digits.second(tmp_path / "tone.wav")

    [sounding] = np.nonzero(clip)
    assert (clip.shape, clip.dtype.name) == ((8000,), "int16")
    assert abs(len(sounding) - kept) < 100
    assert abs((sounding[0] + sounding[-1]) / 2 - 4000) < 10
    assert abs(np.abs(clip).max() - 16_384) < 1000


def test_a_loud_sound_is_not_turned_over(tmp_path: Path) -> None:
    square = np.sign(np.cos(np.arange(16_000) / 40)) * 0.999
    soundfile.write(tmp_path / "square.wav", square, 16_000)

    clip = spoken_digits.second(tmp_path / "square.wav").astype(int)

    assert (clip.min(), clip.max()) == (-32_768, 32_767)
    assert np.count_nonzero(np.diff(np.sign(clip))) == np.count_nonzero(np.diff(square))


def test_the_clips_are_whole() -> None:
    if not list((cache() / "made").glob("spoken_digits-espeak-ng-3000-*.npz")):
        pytest.skip("no clips have been made")

    clips = spoken_digits.raw()

    assert len(np.unique(clips.sounds, axis=0)) == 3000
    assert np.abs(clips.sounds.astype(int)).max(axis=1).min() > 2000


def test_the_clips_of_people_are_whole() -> None:
    folders = [
        cache() / registry / "-".join(package)
        for registry, package in (
            ("debian", spoken_digits.ASTERISK_PACKAGE),
            ("pypi", spoken_digits.CAPTCHA_PACKAGE),
        )
    ]
    if not all(folder.exists() for folder in folders):
        pytest.skip("the packages have not been fetched")

    clips = spoken_digits.people()

    assert Counter(clips.voices.tolist()) == {"Allison Smith": 10, "captcha": 10}
    assert clips.digits.tolist() == [*range(10), *range(10)]
    assert len(np.unique(clips.sounds, axis=0)) == 20
