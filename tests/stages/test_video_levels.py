"""Log footage in limited range, HLG and PQ."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hdrweave.hdr.response import PUBLISHED, response_named
from hdrweave.stages.clip import load
from hdrweave.stages.clip.check import check_exposures
from moving_texture import captured, radiance

COUNT = 8


def write_log(path, code):
    """A gray picture sequence of 10-bit code values, as Y'CbCr of limited range: the codes are those of the curve."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        height, width = code.shape[1:]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p10le"
        stream.codec_context.color_range, stream.codec_context.colorspace = 1, 1
        for luma in code:
            planes = np.stack([luma, np.full_like(luma, 512), np.full_like(luma, 512)])
            frame = av.VideoFrame(width, height, "yuv444p10le")
            for plane, values in zip(frame.planes, planes, strict=True):
                line = np.zeros((height, plane.line_size // 2), "<u2")
                line[:, :width] = values
                plane.update(line.tobytes())
            frame.color_range, frame.colorspace = 1, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def light():
    grey = radiance(COUNT, size=(64, 96)).mean(-1, keepdim=True).expand(-1, -1, -1, 3)
    return captured(3 * grey, [1.0, 8.0] * (COUNT // 2), response="linear", bits=14)[..., 0]


@pytest.mark.parametrize(("name", "white"), [("S-Log3", 940), ("S-Log3", 980), ("V-Log", 911), ("Canon Log 3", 960)])
def test_log_is_read_on_its_code_values(tmp_path, light, name, white):
    curve = response_named(name)
    peak = curve.decode(torch.tensor(white / 1023))
    code = (curve.encode(light * peak) * 1023).round().numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    sequence = load.load_clip(tmp_path / "a.mkv", "auto", name)
    assert sequence.exposures.max() == pytest.approx(8, rel=0.02)
    assert sequence.white_level[0] == pytest.approx(white / 1023, abs=0.002)
    decoded = sequence.response.decode(sequence.frames[0])[..., 1]
    assert (decoded - light[0]).abs().max() < 0.02


def test_other_responses_of_a_limited_file_see_what_they_saw(tmp_path, light):
    code = (64 + 876 * light.sqrt()).round().numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    usual = load.read_clip(tmp_path / "a.mkv")
    full = load.read_clip(tmp_path / "a.mkv", response="S-Log3")
    back = load.expose(full, "-3,0", "gamma2.2").frames[0]
    assert back == pytest.approx(load.expose(usual, "-3,0", "gamma2.2").frames[0], abs=1e-4)


@pytest.mark.parametrize("name", ["S-Log3", "V-Log"])
def test_log_that_is_read_as_gamma_is_named(tmp_path, light, name):
    code = (response_named(name).encode(light) * 1023).round().numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    warnings = check_exposures(load.load_clip(tmp_path / "a.mkv", "-3,0")).warnings
    assert "the frames look log-encoded" in warnings[-1] and name in warnings[-1], warnings


@pytest.mark.parametrize("name", ["HLG", "PQ"])
def test_hlg_and_pq(name):
    curve = response_named(name)
    codes = torch.linspace(0, 1, 200, dtype=torch.float64)
    assert curve.encode(curve.decode(codes)) == pytest.approx(codes, abs=1e-4)
    assert (curve.decode(codes).diff() >= 0).all()
    assert curve.decode(torch.tensor(1.0)) == pytest.approx(1)


def test_published_values_of_hlg_and_pq():
    from hdrweave.hdr import transfer_functions as curves

    assert float(curves.hlg_decode(torch.tensor(0.5, dtype=torch.float64))) == pytest.approx(1 / 12)
    assert float(curves.hlg_decode(torch.tensor(1.0, dtype=torch.float64))) == pytest.approx(1, abs=1e-6)
    # code 0.5081 is 100 cd/m2 (ST 2084): scene light 1 on the scale of BT.709
    assert float(curves.pq_decode(torch.tensor(0.508078, dtype=torch.float64))) * 59.5208 == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("response", "top"), [("BT.709", 1019), ("gamma2.2", 1019), ("HLG", 1000), ("gamma2.2", 940)])
def test_codes_above_white_are_kept(tmp_path, light, response, top):
    """Cameras that record up to code 1019 clip there and not at white, code 940."""
    curve, signal = response_named(response), (top - 64) / 876
    published = PUBLISHED[response]
    peak = published[0](torch.tensor(signal))
    code = (64 + 876 * published[1](light * peak)).round().clamp(64, top).numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    found = load.expose(load.read_clip(tmp_path / "a.mkv", response=response), "auto", response)
    assert found.exposures[:2].tolist() == [1.0, 8.0]
    clipped = torch.from_numpy(code.astype("i4") == top)
    assert (found.frames[:].amax(-1)[clipped] > 0.995).all()
    linear = found.response.decode(found.frames[:])[..., 1]
    seen = (light > 0.05) & ~clipped
    assert (linear / light - 1)[seen].abs().max() < 0.03
    assert ("clips above white" in load.describe(found)) == (top > 940)
    assert curve.name == response


def test_a_stream_with_codes_above_white_joins_others(tmp_path, light):
    """All streams are read from black to white; only the file has codes above."""
    code = (64 + 876 * 1.08 * light.sqrt()).round().clamp(64, 1010).numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    first = load.read_clip(tmp_path / "a.mkv")
    assert first.superwhite > 1
    seen = torch.from_numpy((code.astype("f4") - 64) / 876).clamp(max=1)
    second = load.image_clip(seen[..., None].expand(-1, -1, -1, 3))
    both = load.interleave([first, second]).frames
    assert (both[0::2] - both[1::2]).abs().max() < 0.003


def test_a_given_white_level_of_a_clip_with_codes_above_white(tmp_path, light):
    code = (64 + 876 * 1.08 * light.sqrt()).round().clamp(64, 1010).numpy().astype("<u2")
    write_log(tmp_path / "a.mkv", code)
    clip = load.read_clip(tmp_path / "a.mkv")
    found = load.expose(clip, "-3,0", white_level=0.5)
    assert clip.superwhite > 1 and found.white_level == (0.5,) * 3
    assert found.frames[0] == pytest.approx(
        (load.on_range_of(clip, "gamma2.2")[0] * clip.superwhite / 0.5).clamp(max=1), abs=1e-3
    )
