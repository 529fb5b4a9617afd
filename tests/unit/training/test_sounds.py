"""How clips are changed for training, and what a network and the simple method hear in them."""

import base64
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from app.inference.session import Session
from app.manifest import read_manifest
from app.protocols.allowance import Allowance, BodyLimits
from app.protocols.media import read_sound
from training.datasets.dataset import Column, Dataset, Rows, Target
from training.datasets.sounds import at_level, heard_elsewhere, in_noise, placed, toned
from training.evaluate import answers
from training.networks.sound import LogMel, SoundNet
from training.plots import spectrograms
from training.recipe import load
from training.run import Run, conclude, fit_made
from training.sound_baselines import linear_on_log_mel

RATE = 8000


def chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def beep(frequency: float, start: int, length: int) -> Tensor:
    """(8000,): a tone that swells and fades, in silence."""
    sound = torch.zeros(RATE)
    sound[start : start + length] = (2 * math.pi * frequency * torch.arange(1, length + 1) / RATE).sin()
    sound[start : start + length] *= torch.hann_window(length + 2, periodic=False)[1:-1]
    return sound


def rising_and_falling(count: int, seed: int) -> Rows:
    """Two tones one behind the other, the higher one last or first, anywhere."""
    random = np.random.default_rng(seed)
    targets = torch.arange(count) % 2
    sounds = []
    for target in targets.tolist():
        pitches, start = sorted(random.uniform(300, 3000, 2), reverse=bool(target)), int(random.integers(4000))
        sounds.append(beep(pitches[0], start, 1500) + beep(pitches[1], start + 1500, 1500))
    return Rows({"clip": torch.stack(sounds)}, targets)


def test_a_moved_sound_is_whole_and_lies_elsewhere_each_time() -> None:
    sounds = beep(500, 1000, 3000).repeat(40, 1)

    moved = placed(sounds, chance())

    starts = (moved != 0).int().argmax(dim=1)
    assert starts.min() < 1000 and starts.max() > 4000
    torch.testing.assert_close(moved.square().sum(dim=1), sounds.square().sum(dim=1), rtol=0.01, atol=0)


def test_a_faster_sound_is_shorter_and_higher_by_the_same_factor() -> None:
    sounds = beep(500, 1000, 3000).repeat(60, 1)

    played = placed(sounds, chance(), speed=0.3)

    lengths = (played != 0).sum(dim=1) / 3000
    pitches = torch.fft.rfft(played).abs().argmax(dim=1) / 500
    assert lengths.min() < 0.8 and lengths.max() > 1.25
    torch.testing.assert_close(lengths * pitches, torch.ones(60), rtol=0.05, atol=0)


def test_a_sound_that_fills_its_second_and_one_of_silence_stay_as_they_are() -> None:
    sounds = torch.stack([torch.full((RATE,), 0.5), torch.zeros(RATE)])

    assert torch.equal(placed(sounds, chance()), sounds)


def test_a_level_is_in_decibels_and_ends_at_full_scale() -> None:
    sounds = torch.tensor([[0.5, -0.1], [0.5, -0.1]])

    heard = at_level(sounds, torch.tensor([-20.0, 20.0]))

    torch.testing.assert_close(heard, torch.tensor([[0.05, -0.01], [1.0, -1.0]]))


def test_noise_is_as_weak_as_it_was_asked_for() -> None:
    sounds = 0.1 * beep(500, 1000, 3000).repeat(3, 1)
    asked = torch.tensor([0.0, 10.0, 30.0])

    noise = in_noise(sounds, asked, chance()) - sounds

    ratio = 10 * (sounds.square().mean(dim=1) / noise.square().mean(dim=1)).log10()
    torch.testing.assert_close(ratio, asked, rtol=0, atol=0.1)


def test_noise_that_stops_leaves_silence_behind() -> None:
    sounds = 0.1 * beep(500, 0, 3000).repeat(30, 1)

    heard = in_noise(sounds, torch.full((30,), 10.0), chance(), stops=True)

    assert 5 < (heard[:, -1] == 0).sum() < 25
    assert (heard[:, 3500] != 0).all()


def test_a_tone_control_raises_some_frequencies_and_lowers_others_within_its_bounds() -> None:
    clicks = torch.zeros(20, RATE)
    clicks[:, 4000] = 0.01

    gains = 20 * (torch.fft.rfft(toned(clicks, chance(), decibels=6.0)).abs() / 0.01).log10()

    assert gains.min() > -6.01 and gains.max() < 6.01
    assert (gains.amax(dim=1) - gains.amin(dim=1)).min() > 1


def test_augmented_clips_keep_their_words_and_depend_on_the_generator_alone() -> None:
    rows = rising_and_falling(8, seed=0)
    augment = partial(heard_elsewhere, speed=0.1, tone_decibels=8, noise_decibels=(3, 40), decibels=(-20, 6))

    first, again, other = (augment(rows, chance(seed)) for seed in (1, 1, 2))

    assert torch.equal(first.inputs["clip"], again.inputs["clip"]) and torch.equal(first.targets, rows.targets)
    assert not torch.equal(first.inputs["clip"], other.inputs["clip"])
    assert first.inputs["clip"].abs().max() <= 1


def log_mel() -> LogMel:
    return LogMel(rate=RATE, window=256, step=100, bands=32, floor=1e-3)


def test_a_spectrogram_is_that_of_the_fourier_transform() -> None:
    sound = torch.randn(2, RATE, generator=chance())
    window = torch.hann_window(256)
    level = sound.square().mean(dim=1).sqrt()[:, None, None]
    transformed = torch.stft(sound, 256, 100, window=window, center=False, return_complex=True).abs() / level
    power = transformed.square() / window.square().sum()

    ours = log_mel()

    wanted = (torch.matmul(ours.bands, power) + 1e-3).log()
    torch.testing.assert_close(ours(sound), wanted, rtol=1e-3, atol=1e-3)
    assert ours(sound).exp().mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_the_band_of_its_mel(frequency: float) -> None:
    seen = log_mel()(beep(frequency, 0, RATE)[None])[0].mean(dim=1)

    mel = 2595 * math.log10(1 + frequency / 700)
    place = mel / (2595 * math.log10(1 + 4000 / 700)) * 33 - 1
    assert abs(int(seen.argmax()) - place) <= 1


def test_how_loud_a_sound_is_changes_nothing_and_silence_is_a_number() -> None:
    sound = beep(700, 1000, 4000)[None]

    torch.testing.assert_close(log_mel()(0.03 * sound), log_mel()(sound), rtol=0, atol=0.05)
    assert log_mel()(torch.zeros(1, RATE)).isfinite().all()


def two_tones() -> Dataset:
    train, validation, test = (rising_and_falling(count, seed) for count, seed in ((40, 5), (8, 6), (8, 7)))
    clip = Column("clip", "Two tones", kind="audio", shape=(RATE,), sample_rate=RATE)
    target = Target("order", "Which comes first", labels=("lower", "higher"))
    return Dataset("Two tones", "here", "none", "0" * 64, {"clip": (clip,)}, target, "", train, validation, test)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """The recipe of spoken digits with a small network for two tones; and the version in models/."""
    folder = tmp_path_factory.mktemp("sounds")
    digits = load("spoken-digits")
    recipe = replace(
        digits,
        dataset=two_tones,
        network=partial(SoundNet, rate=RATE, window=256, step=100, bands=32, floor=1e-3, channels=(4, 8), dropout=0.2),
        steps=replace(digits.steps, epochs=1),
        accept={"accuracy": 0.0},
        card=None,
    )
    run = fit_made("two-tones", recipe, folder / "runs", seed=0)
    report = conclude(run, folder / "models")
    assert "Published" in report.outcome
    return run, folder / "models" / "two-tones" / "1"


def test_the_exported_network_says_the_same_of_a_clip_alone_and_in_company(published: tuple[Run, Path]) -> None:
    run, version = published
    rows = run.trained.dataset.test
    session = Session(version / "model.onnx")

    together = session.run(rows.sent())["probabilities"]
    alone = [session.run({"clip": clip[None]})["probabilities"] for clip in rows.inputs["clip"].numpy()]

    np.testing.assert_array_equal(together, np.concatenate(alone))
    [wanted] = answers(run.trained.served, rows)
    np.testing.assert_allclose(together.astype(float), wanted, atol=1e-5)
    assert np.ptp(wanted, axis=0).max() > 1e-3


def test_an_example_of_a_sound_is_a_file_that_the_service_reads_as_the_clip_that_it_was(
    published: tuple[Run, Path],
) -> None:
    run, version = published
    manifest = read_manifest(version / "manifest.json")
    assert manifest and manifest.golden
    [feature] = manifest.features

    read = read_sound(base64.b64decode(feature.example["b64"]), feature, Allowance(BodyLimits()))

    np.testing.assert_allclose(read, run.trained.dataset.test.inputs["clip"][0], atol=0.6 / 32768)
    assert len(manifest.golden.inputs["clip"]) == 2


def test_a_report_shows_what_mistaken_sounds_look_like(published: tuple[Run, Path]) -> None:
    _, version = published
    page = (version / "report.html").read_text()

    assert ("Their spectrograms" in page) == ("What went most wrong" in page)
    assert "Their spectrograms" in page or "None on the held-out rows" in page


def test_a_spectrogram_is_drawn_of_silence_too() -> None:
    drawn = spectrograms(np.stack([np.zeros(RATE), beep(1000, 0, RATE).numpy()]), RATE, ["silence", "a tone"])

    silence, tone = (np.asarray(axes.images[0].get_array()) for axes in drawn.axes)
    assert np.ptp(silence) == 0
    assert abs(int(tone.mean(axis=1).argmax()) * RATE / 256 - 1000) < RATE / 256


def test_the_simple_method_hears_in_which_order_tones_come_wherever_they_lie() -> None:
    train, validation, test = (rising_and_falling(count, seed) for count, seed in ((120, 2), (40, 3), (60, 4)))

    baseline = linear_on_log_mel(train, validation)

    assert (baseline.predict(test).argmax(axis=1) == test.targets.numpy()).mean() > 0.85
    assert baseline.description.startswith("logistic regression (L2 ")
