"""Debevec's estimate against known curves, OpenCV's, and a real stack."""

import json
import pickle

import numpy as np
import pytest
import torch
from hdrweave.hdr.debevec import estimate_response, sample_static_pixels
from hdrweave.hdr.response import response_named, tabulated
from hdrweave.hdr.sequence import ExposureSequence


def film():
    """An S in the logarithm of light: a soft toe and a long shoulder."""
    light = torch.cat((torch.zeros(1).double(), torch.logspace(-5, 0, 4000).double()))
    codes = light**0.9 / (light**0.9 + 0.15**0.9) * (1 + 0.15**0.9)
    return tabulated("film", codes[:, None], light[:, None])


CURVES = {"film": film(), **{n: response_named(n) for n in ("gamma2.2", "sRGB", "linear", "S-Log3")}}
PAIR, TRIPLE, FIVE = (1.0, 8.0), (1.0, 4.0, 16.0), (1.0, 2.0, 4.0, 8.0, 16.0)


def seen(curve, exposures, pixels=400, noise=0.002, seed=0):
    """8-bit codes of pixels whose light spans nine stops."""
    generator = torch.Generator().manual_seed(seed)
    light = 2 ** (torch.rand(pixels, 1, 3, generator=generator) * 9 - 8)
    exposures = torch.tensor(exposures)
    codes = curve.encode((light * exposures[:, None] / 2).clamp(0, 1))
    codes = codes + noise * torch.randn(codes.shape, generator=generator)
    return (codes.clamp(0, 1) * 255).round() / 255, exposures


def errors(estimate, curve):
    """Largest error in linear light (peak 1), and in stops between codes 0.2 and 0.9 after removing the scale."""
    codes, middle = torch.linspace(0, 1, 256), torch.linspace(0.2, 0.9, 100)
    stops = (estimate.decode(middle) / curve.decode(middle)).log2()
    linear = (estimate.decode(codes) - curve.decode(codes)).abs().max().item()
    return linear, (stops - stops.median()).abs().max().item()


# curve, smoothness, largest error in linear light (peak 1; at the very top) and in stops. The default smoothness
# is for cameras near a power curve; log and film curves ask for less, and the film's shoulder
# above the last usable code is a guess
LIMITS = [
    ("gamma2.2", 0.01, 0.01, 0.02),
    ("sRGB", 0.01, 0.01, 0.02),
    ("linear", 0.01, 0.01, 0.02),
    ("S-Log3", 0.001, 0.05, 0.35),
    ("film", 0.001, 0.16, 0.2),
]


@pytest.mark.parametrize("exposures", [PAIR, TRIPLE, FIVE])
@pytest.mark.parametrize("name, smoothness, linear, stops", LIMITS)
def test_known_curves(name, smoothness, linear, stops, exposures):
    curve = CURVES[name]
    worst = errors(estimate_response(*seen(curve, exposures), smoothness), curve)
    assert worst[0] < linear and worst[1] < stops


def test_it_is_a_response_curve():
    estimate = estimate_response(*seen(CURVES["gamma2.2"], PAIR))
    codes = torch.linspace(0, 1, 1001)
    linear = estimate.decode(codes)
    assert linear[0] == 0 and linear[-1].item() == pytest.approx(1, abs=1e-6)
    assert (linear.diff() >= 0).all()
    torch.testing.assert_close(estimate.decode(estimate.encode(linear)), linear, atol=1e-5, rtol=0)
    assert torch.equal(pickle.loads(pickle.dumps(estimate)).decode(codes), linear)


def test_as_good_as_opencv_on_the_same_pixels():
    from hdrweave.hdr.cv import cv2

    codes, exposures = seen(CURVES["gamma2.2"], FIVE, noise=0.0)
    pictures = [(codes[:, k].reshape(20, 20, 3) * 255).round().byte().numpy() for k in range(5)]
    theirs = cv2().createCalibrateDebevec(samples=400).process(pictures, exposures.numpy())[:, 0, 0]
    theirs = tabulated(
        "cv2", torch.linspace(0, 1, 256)[:, None], torch.from_numpy(np.maximum.accumulate(theirs))[:, None]
    )
    ours = errors(estimate_response(codes, exposures), CURVES["gamma2.2"])
    assert ours[1] <= errors(theirs, CURVES["gamma2.2"])[1]


def test_outliers_do_not_bend_the_curve():
    codes, exposures = seen(CURVES["gamma2.2"], TRIPLE)
    codes[::20] = torch.rand(20, 3, 3, generator=torch.Generator().manual_seed(3))
    assert errors(estimate_response(codes, exposures), CURVES["gamma2.2"])[0] < 0.05


def test_a_curve_for_each_channel():
    codes, exposures = seen(CURVES["gamma2.2"], FIVE)
    codes[..., 2] = seen(CURVES["sRGB"], FIVE)[0][..., 2] ** 0.7
    estimate = estimate_response(codes, exposures, per_channel=True)
    x = torch.linspace(0, 1, 64)[:, None].expand(-1, 3)
    got = estimate.decode(x)
    torch.testing.assert_close(got[:, 0], CURVES["gamma2.2"].decode(x[:, 0]), atol=0.02, rtol=0)
    torch.testing.assert_close(got[:, 2], CURVES["sRGB"].decode(x[:, 2] ** (1 / 0.7)), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "codes, exposures, message",
    [
        (torch.ones(500, 2, 3), [1.0, 8.0], "only 0 samples"),
        (torch.zeros(500, 2, 3), [1.0, 8.0], "only 0 samples"),
        (torch.rand(5, 2, 3), [1.0, 8.0], "30 are needed"),
        (torch.rand(500, 2, 3) * 0.2 + 0.4, [1.0, 8.0], "a range of 0.4"),
        (torch.rand(500, 2, 3), [4.0, 4.0], "two or more different"),
        (torch.rand(500, 2, 3), [0.0, 4.0], "above 0"),
        (torch.rand(500, 2, 3), [1.0, 4.0, 16.0], "expected"),
        (torch.rand(500, 2), [1.0, 4.0], "expected"),
    ],
)
def test_too_little_to_go_by(codes, exposures, message):
    with pytest.raises(ValueError, match=message):
        estimate_response(codes, torch.tensor(exposures))


def alternating(frames=8, exposures=PAIR, moving=True):
    """A still, smooth scene, in whose right half nothing stays from one frame to the next."""
    generator = torch.Generator().manual_seed(1)
    light = 2 ** (torch.rand(1, 3, 12, 16, generator=generator) * 9 - 9)
    light = torch.nn.functional.interpolate(light, scale_factor=10, mode="bilinear")[0].movedim(0, -1)
    pattern = torch.tensor(exposures).repeat(frames)[:frames]
    clip = torch.stack([CURVES["sRGB"].encode((light * e).clamp(0, 1)) for e in pattern])
    if moving:
        clip[:, :, 80:] = torch.rand(frames, 1, 1, 3, generator=generator)
    return ExposureSequence(clip, pattern, CURVES["sRGB"], len(exposures))


def test_moving_pixels_are_left_out():
    sequence = alternating()
    sequence.frames[:, :, 80:, 2] = 0.5  # a colour that only the moving half has
    codes, exposures = sample_static_pixels(sequence, 150)
    assert exposures.tolist() == [1, 8] and codes.shape[1:] == (2, 3) and 100 < len(codes) <= 150
    assert ((codes[..., 2] - 0.5).abs() > 1e-4).any(1).all()
    assert codes[:, 1].max() > 0.9 and codes[:, 0].min() < 0.1  # well spread


def test_clip_to_curve():
    estimate = estimate_response(*sample_static_pixels(alternating(9, TRIPLE)))
    assert errors(estimate, CURVES["sRGB"])[0] < 0.03


def test_short_or_irregular_clips_are_told():
    with pytest.raises(ValueError, match="two exposure periods"):
        sample_static_pixels(alternating(3))
    sequence = alternating(6).with_(exposures=torch.tensor([1.0, 8, 8, 1, 1, 8]))
    with pytest.raises(ValueError, match="check the pattern"):
        sample_static_pixels(sequence)


def test_real_clips_have_the_gamma_they_are_said_to_have(real_clips):
    av = pytest.importorskip("av")
    with av.open(str(real_clips / "alternating_3exp" / "clip_12.mp4")) as file:
        frames = torch.from_numpy(np.stack([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])).float() / 255
    exposures = torch.tensor(TRIPLE).repeat(len(frames))[: len(frames)]
    sequence = ExposureSequence(frames, exposures, CURVES["linear"], 3)
    estimate = estimate_response(*sample_static_pixels(sequence))
    assert errors(estimate, CURVES["gamma2.2"])[1] < 0.2


def test_memorial_church_against_its_merge(real_clips):
    openexr = pytest.importorskip("OpenEXR")
    from hdrweave.hdr.cv import cv2

    folder = real_clips / "stacks" / "memorial"
    about = json.loads((folder / "exposures.json").read_text())
    x, y, w, h = about["valid_rect_xywh"]
    pick = (slice(y + 8, y + h, 24), slice(x + 8, x + w, 24))
    shots = [cv2().imread(str(folder / shot["file"]))[pick][..., ::-1] / 255 for shot in about["exposures"]]
    times = torch.tensor([shot["exposure_s"] for shot in about["exposures"]])
    codes = torch.from_numpy(np.stack(shots, 2)).flatten(0, 1).float()
    radiance = estimate_response(codes, times, per_channel=True).decode(codes) / times[:, None]
    weight = ((codes > 0.1) & (codes < 0.95)).all(-1, keepdim=True).float()
    merged = (weight * radiance).sum(1) / weight.sum(1)
    reference = torch.from_numpy(
        openexr.File(str(folder / "merge.exr")).channels()["RGB"].pixels[pick].astype(np.float32)
    )
    stops = (merged / reference.flatten(0, 1)).log2()[weight.sum((1, 2)) > 1]
    stops = (stops - stops.median(0).values).abs().median(0).values
    assert (
        stops[0] < 0.1 and stops[1] < 0.1 and stops[2] < 0.4
    )  # blue: most of it is film base, which carries no signal
