"""Images and sounds to arrays: exact where nothing is to be converted, and a limit on what a file may become."""

import struct
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidInput, MediaTooLarge
from app.feature import Feature
from app.protocols.allowance import Allowance, BodyLimits
from app.protocols.media import read_image, read_sound
from tests.media import claiming, lasting, noise, picture, sine, sound

RATE = 16_000


def image(height: int, width: int, layout: str = "HW", **changes: Any) -> Feature:
    sizes = {"H": height, "W": width, "C": 3}
    usual = {"name": "i", "kind": "image", "shape": [sizes[axis] for axis in layout], "layout": layout, "example": 0}
    return Feature.model_validate({**usual, "minimum": 0, "maximum": 255, **changes})


def clip(samples: int = RATE, rate: int = RATE) -> Feature:
    return Feature(name="s", kind="audio", shape=(samples,), sample_rate=rate, example=[0])


def see(data: bytes, feature: Feature, pixels: int = 10**6) -> NDArray[np.float64]:
    return read_image(data, feature, Allowance(BodyLimits(pixels, 0)))


def hear(data: bytes, feature: Feature, samples: int = 10**6) -> NDArray[np.float32]:
    return read_sound(data, feature, Allowance(BodyLimits(0, samples)))


def test_a_grey_image_of_the_models_size_is_its_pixels() -> None:
    pixels = noise(5, 7)
    assert np.array_equal(see(picture(pixels), image(5, 7)), pixels)


@pytest.mark.parametrize(("layout", "axes"), [("HWC", (0, 1, 2)), ("CHW", (2, 0, 1))])
def test_colours_come_in_the_layout_that_the_model_takes(layout: str, axes: tuple[int, ...]) -> None:
    pixels = noise(5, 7, 3)
    assert np.array_equal(see(picture(pixels), image(5, 7, layout)), pixels.transpose(axes))
    assert np.array_equal(see(picture(pixels, "WEBP", lossless=True), image(5, 7, layout)), pixels.transpose(axes))


def test_black_is_the_minimum_and_white_the_maximum() -> None:
    pixels = np.array([[0, 255, 51]], np.uint8)
    assert see(picture(pixels), image(1, 3, minimum=-1, maximum=1)).tolist() == [[-1, 1, -0.6]]
    assert see(picture(pixels), image(1, 3, minimum=0, maximum=16)).tolist() == [[0, 16, 3.2]]


def test_greys_of_sixteen_bits_keep_them_also_in_colours_and_another_size() -> None:
    pixels = np.array([[0, 65535], [1, 257]], np.uint16)
    kept = np.array([[0, 255], [1 / 257, 1]])
    assert np.allclose(see(picture(pixels), image(2, 2)), kept)
    assert np.allclose(see(picture(pixels), image(2, 2, "CHW"))[2], kept)
    assert see(picture(np.full((4, 4), 32768, np.uint16)), image(2, 2))[0, 0] == pytest.approx(32768 / 257)


def test_a_smaller_size_is_the_mean_of_the_pixels_and_not_a_choice_among_them() -> None:
    stripes = np.zeros((8, 8), np.uint8)
    stripes[:, ::2] = 255
    assert np.all(np.abs(see(picture(stripes), image(2, 2)) - 127.5) < 20)
    assert see(picture(np.full((3, 5), 9, np.uint8)), image(8, 8)).tolist() == [[9] * 8] * 8


def test_what_is_transparent_lies_on_black() -> None:
    half = np.array([[[200, 100, 50, 0], [200, 100, 50, 255]]], np.uint8)
    assert see(picture(half), image(1, 2, "HWC")).tolist() == [[[0, 0, 0], [200, 100, 50]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert see(picture(palette, transparency=1), image(1, 2)).tolist() == [[0, 0]]
    assert see(picture(palette), image(1, 2)).tolist() == [[0, 255]]


def test_colours_become_grey_by_their_luma_and_grey_becomes_colours() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert see(picture(red), image(1, 1)).tolist() == [[76]]
    assert see(picture(np.array([[7]], np.uint8)), image(1, 1, "HWC")).tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize(
    ("orientation", "turned"), [(1, [[1, 2], [3, 4]]), (6, [[3, 1], [4, 2]]), (3, [[4, 3], [2, 1]])]
)
def test_a_photograph_is_turned_as_its_camera_says(orientation: int, turned: list[list[int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.array([[10, 20], [30, 40]], np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    seen = see(picture(pixels, "JPEG", exif=exif, quality=100), image(32, 32))
    assert (seen[8::16, 8::16] / 10).round().tolist() == turned


def test_a_broken_orientation_is_passed_over_in_silence() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = picture(noise(8, 8), "JPEG", exif=exif)
    broken = data.replace(b"\x01\x12\0\x03\0\0\0\x01", b"\x01\x12\0\x02\xff\0\0\x01")
    assert broken != data
    assert see(broken, image(8, 8)).shape == (8, 8)


def test_four_colours_of_print_become_three() -> None:
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert see(picture(white, "JPEG"), image(8, 8, "HWC")).min() > 250


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"RIFF1234WAVE", b"<svg/>", picture(noise(4, 4), "BMP")])
def test_another_file_is_no_image(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a PNG, JPEG or WebP image"):
        see(data, image(8, 8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_that_is_cut_off_is_told(kind: str) -> None:
    data = picture(noise(64, 64, 3), kind)
    for length in range(12, len(data) - 8, max(1, len(data) // 50)):
        with pytest.raises(InvalidInput, match="image that is broken or cut off"):
            see(data[:length], image(8, 8, "HWC"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_image_is_read_or_refused_and_nothing_else(kind: str) -> None:
    whole, chance = picture(noise(16, 16, 4) if kind != "JPEG" else noise(16, 16, 3), kind), np.random.default_rng(2)
    for _ in range(300):
        data = bytearray(whole)
        for place in chance.integers(0, len(data), 4):
            data[place] = chance.integers(0, 256)
        with suppress(InvalidInput, MediaTooLarge):
            assert see(bytes(data), image(8, 8)).shape == (8, 8)


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (1001, 1000), (1, 200_000)])
def test_a_bomb_is_refused_by_what_its_header_says(size: tuple[int, int]) -> None:
    with pytest.raises(MediaTooLarge, match="more than 1000000 pixels, all of a request together"):
        see(claiming(*size), image(8, 8))


def test_all_images_of_a_request_share_its_pixels_as_sent_or_as_taken() -> None:
    allowance = Allowance(BodyLimits(1000, 0))
    for _ in range(2):
        read_image(picture(noise(20, 20)), image(8, 8), allowance)
    with pytest.raises(MediaTooLarge):
        read_image(picture(noise(20, 20)), image(8, 8), allowance)
    with pytest.raises(MediaTooLarge):
        see(picture(noise(1, 1)), image(40, 40), pixels=1000)


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 100 scans"):
        see(picture(noise(8, 8), "JPEG") + b"\xff\xda" * 1000, image(8, 8))


def test_a_sound_at_the_models_rate_is_its_samples() -> None:
    samples = sine(440, RATE)
    assert np.array_equal(hear(sound(samples, RATE), clip()), samples)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [("WAV", "PCM_16", 1e-4), ("WAV", "PCM_U8", 1e-2), ("FLAC", "PCM_24", 1e-6), ("OGG", "VORBIS", 0.05)],
)
def test_every_kind_of_sound_is_read(kind: str, subtype: str, tolerance: float) -> None:
    samples = sine(440, RATE)
    assert np.abs(hear(sound(samples, RATE, kind, subtype), clip()) - samples).max() < tolerance


def test_an_mp3_is_read() -> None:
    heard = hear(sound(sine(440, RATE), RATE, "MP3", "MPEG_LAYER_III"), clip())
    assert loudest(heard, RATE) == 440


def test_an_mp3_without_a_header_is_read_where_its_bit_rate_is_constant_and_refused_where_it_is_cut_short() -> None:
    hiss = np.random.default_rng(1).uniform(-0.5, 0.5, 10 * RATE)
    calmer = np.concatenate([hiss, 0.2 * sine(440, RATE, 10)])
    with pytest.raises(InvalidInput, match="MP3 sound of varying bit rate without the header"):
        hear(without_header(mp3(calmer, "VARIABLE")), clip(30 * RATE))
    for file in (mp3(calmer, "CONSTANT"), mp3(calmer, "VARIABLE"), without_header(mp3(calmer, "CONSTANT"))):
        heard = hear(file + b"TAG" + bytes(125), clip(30 * RATE))
        assert np.abs(heard[: 10 * RATE]).max() > 0.3
        assert abs(int(np.flatnonzero(heard)[-1]) - 20 * RATE) < RATE / 5


def mp3(samples: NDArray[np.floating], mode: str) -> bytes:
    file = BytesIO()
    with soundfile.SoundFile(
        file, "w", RATE, 1, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.5, bitrate_mode=mode
    ) as writer:
        writer.write(samples)
    return file.getvalue()


def without_header(data: bytes) -> bytes:
    """From the second frame on; the first says how many there are."""
    return data[data.find(data[:2], 60) :]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_sine_keeps_its_pitch_and_its_height_at_another_rate(rate: int) -> None:
    heard = hear(sound(sine(440, rate), rate), clip())
    assert loudest(heard, RATE) == 440
    middle = slice(1000, -1000)
    assert np.abs(heard[middle] - sine(440, RATE)[middle]).max() < 1e-3


def loudest(samples: NDArray[np.float32], rate: int) -> float:
    """The frequency with the most energy, in Hz, of a second."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_what_the_models_rate_cannot_hold_is_filtered_out() -> None:
    assert np.abs(hear(sound(sine(12_000, 44_100), 44_100), clip())[1000:-1000]).max() < 1e-4


def test_channels_become_their_mean_and_silence_follows() -> None:
    heard = hear(sound([[0.5, 0.25], [0, -1]], RATE), clip(4))
    assert heard.tolist() == [0.375, -0.5, 0, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "^not a WAV, FLAC, OGG or MP3 sound$"),
        (picture(noise(4, 4)), "^not a WAV, FLAC, OGG or MP3 sound$"),
        (b"ID3" + b"x" * 500, "sound that is broken or cut off"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound that is broken or cut off"),
        (sound(sine(440, RATE, 1.2), RATE), "^1.2 s, wanted at most 1 s$"),
        (sound(sine(440, 44_100, 1.2), 44_100), "^1.2 s, wanted at most 1 s$"),
        (sound(sine(440, RATE), RATE)[:-100], "sound that breaks off: .* bytes, its header says"),
        (sound(sine(440, RATE), RATE, "FLAC", "PCM_16")[:-500], "sound that is broken or cut off"),
        (sound(sine(440, RATE), RATE, "MP3", "MPEG_LAYER_III")[:1500], "sound that breaks off: .* frames"),
        (sound([], RATE), "sound without a sample"),
        (sound([0.5, 32767], RATE), "samples up to 32767, wanted -1 to 1"),
        (sound([0.5, float("nan")], RATE), "samples up to nan, wanted -1 to 1"),
        (sound([0.5] * 50, 100), "a sound of 100 samples a second, wanted 1000 to 768000"),
        (lasting(3600 * RATE), "^3600 s, wanted at most 1 s$"),
        (lasting(2**36 - 1), "^4.29497e.06 s, wanted at most 1 s$"),
        (lasting(0), "header does not say how long it is"),
        (lasting(16_000), "broken or cut off"),
    ],
)
def test_a_sound_that_does_not_fit_is_told_why(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        hear(data, clip())


def test_a_wav_whose_header_claims_hours_is_refused() -> None:
    data = bytearray(sound(sine(440, RATE, 0.1), RATE, subtype="PCM_16"))
    data[40:44] = struct.pack("<I", 2**31)
    assert len(hear(bytes(data), clip())) == RATE
    data[4:8] = struct.pack("<I", 2**31 + 36)
    with pytest.raises(InvalidInput, match="breaks off"):
        hear(bytes(data), clip())


def test_a_wav_from_a_pipe_need_not_know_its_length() -> None:
    samples = sine(440, RATE, 0.5)
    for unknown in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        data = bytearray(sound(samples, RATE))
        data[4:8] = unknown
        assert np.array_equal(hear(bytes(data), clip())[: len(samples)], samples)


def test_all_sounds_of_a_request_share_its_samples_every_channel_counted() -> None:
    allowance = Allowance(BodyLimits(0, 50_000))
    read_sound(sound(np.zeros((10_000, 4)), RATE), clip(), allowance)
    with pytest.raises(MediaTooLarge, match="more than 50000 samples, all of a request together"):
        read_sound(sound(np.zeros(10), RATE), clip(), allowance)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_damaged_sound_is_read_or_refused_and_nothing_else(kind: str) -> None:
    subtype = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[kind]
    whole, chance = sound(sine(440, RATE, 0.2), RATE, kind, subtype), np.random.default_rng(2)
    for _ in range(200):
        data = bytearray(whole)
        for place in chance.integers(0, min(len(data), 400), 3):
            data[place] = chance.integers(0, 256)
        with suppress(InvalidInput, MediaTooLarge):
            heard = hear(bytes(data), clip())
            assert heard.shape == (RATE,)
            assert np.abs(heard).max() <= 1
