"""HDR video read back by a second reader: tags, side data, code values, sound."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hdrweave.hdr.delivery import hlg_signal, pq_decode, pq_encode, ycbcr_codes
from hdrweave.hdr.gamut import convert
from hdrweave.hdr.io.hdr_video import FORMATS, is_tagged
from hdrweave.hdr.io.sound import Samples, read_sound, samples
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.clip.load import expose, read_clip
from hdrweave.stages.output.save_video import save_video

HEVC, AV1, PRORES, FFV1 = FORMATS


@pytest.fixture(scope="module")
def hdr():
    """Four frames of 64x80 that move, with highlights of 4.9 times white."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 80), indexing="ij")
    frames = [
        torch.stack((x, y, (x + y) / 2), -1) * 0.9 + 4 * torch.exp(-200 * ((x - 0.2 * t) ** 2 + y**2))[..., None]
        for t in range(4)
    ]
    return torch.stack(frames)


def decoded(path):
    with av.open(str(path)) as file:
        return list(file.decode(file.streams.video[0]))


def planes(frame):
    return [np.frombuffer(p, "<u2").reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("transfer, number", [("PQ", 16), ("HLG", 18)])
def test_every_format_is_tagged_and_close_to_what_was_given(tmp_path, hdr, name, transfer, number):
    report = save_video(hdr, tmp_path, "film/shot", name, transfer, peak=10_000 if transfer == "PQ" else 1000, crf=8)
    assert report.path == tmp_path / "film" / f"shot_v001{FORMATS[name].suffix}" and report.frames == 4
    assert [p.name for p in report.path.parent.iterdir()] == [report.path.name]
    frames = decoded(report.path)
    assert len(frames) == 4 and (frames[0].height, frames[0].width) == (64, 80)
    if is_tagged(name):
        with av.open(str(report.path)) as file:
            next(file.decode(video=0))
            tags = file.streams.video[0].codec_context
            assert (tags.color_primaries, tags.color_trc, tags.colorspace) == (9, number, 0 if name == FFV1 else 9)
    else:
        assert "this PyAV cannot tag ProRes" in str(report)
    light = convert(hdr[1], "Rec.709", "Rec.2020") * 203
    if transfer == "HLG":
        from hdrweave.hdr.delivery import roll_off

        light = roll_off(light, report.source_peak, 1000.0)
    signal = {"PQ": pq_encode, "HLG": hlg_signal}[transfer](light)
    if name == FFV1:
        expected = [(signal[..., k] * 65535).round().int().numpy() for k in (1, 2, 0)]
        assert all((a == b).all() for a, b in zip(planes(frames[1]), expected, strict=True))
        return
    luma = planes(frames[1])[0] >> (2 if "12le" in frames[1].format.name else 0)
    expected = ycbcr_codes(signal, halved=FORMATS[name].even)[0].numpy()
    assert abs(luma - expected).mean() < 2.0 and abs(luma.mean() - expected.mean()) < 0.5


@pytest.mark.parametrize("name", [HEVC, AV1])
def test_mastering_display_and_measured_light_level_are_read_back(tmp_path, hdr, name):
    report = save_video(hdr, tmp_path, "a", name, peak=1000, crf=20)
    side = {str(s.type).split(".")[-1]: bytes(s) for s in decoded(report.path)[0].side_data}
    level = np.frombuffer(side["CONTENT_LIGHT_LEVEL"], "<u4")[:2]
    light = (convert(hdr, "Rec.709", "Rec.2020") * 203).amax(-1)
    assert report.source_peak == pytest.approx(float(light.max()), rel=1e-5) and report.source_peak < 1000
    assert level.tolist() == [round(float(light.max())), round(float(light.mean((1, 2)).max()))]
    rationals = np.frombuffer(side["MASTERING_DISPLAY_METADATA"][:80], "<i4").reshape(-1, 2)
    values = rationals[:, 0] / rationals[:, 1]
    assert values[:8] == pytest.approx((0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329), abs=1e-4)
    assert values[8:10] == pytest.approx((0.0001, 1000), abs=1e-4)


def real_time_threads() -> list[str]:
    """Threads of this process that are not scheduled as ordinary ones."""
    return [t.name for t in Path("/proc/self/task").iterdir() if os.sched_getscheduler(int(t.name)) != os.SCHED_OTHER]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux alone")
def test_no_thread_becomes_real_time(tmp_path, hdr):
    """SVT-AV1 asks for it, and gets it as root."""
    during = []

    def progress(done, total):
        during.append(real_time_threads())

    save_video(hdr, tmp_path, "a", AV1, crf=40, progress=progress)
    assert real_time_threads() == [] and during and not any(during)


def test_another_program_sees_hdr10(tmp_path, hdr):
    mediainfo = pytest.importorskip("pymediainfo")
    if not mediainfo.MediaInfo.can_parse():
        pytest.skip("libmediainfo is not installed")
    report = save_video(hdr * 4, tmp_path, "a", HEVC, peak=600, crf=20, fps=23.976, timecode="01:00:00:00")
    track = mediainfo.MediaInfo.parse(str(report.path)).video_tracks[0]
    assert track.hdr_format == "SMPTE ST 2086" and "HDR10" in track.hdr_format_compatibility
    assert track.color_primaries == "BT.2020" and track.transfer_characteristics == "PQ"
    assert track.matrix_coefficients == "BT.2020 non-constant" and track.color_range == "Limited"
    assert track.mastering_display_luminance.endswith("max: 600 cd/m2")
    assert track.maximum_content_light_level == f"{report.level.maximum:.0f} cd/m2"
    assert track.frame_rate == "23.976" and track.codec_id == "hvc1" and track.bit_depth == 10
    assert 500 < report.level.maximum <= 600.5 < report.source_peak
    assert "are rolled off to 600" in str(report)
    with av.open(str(report.path)) as file:
        assert "01:00:00:00" in {s.metadata.get("timecode") for s in file.streams}


def test_light_comes_back(tmp_path, hdr):
    """Half a code of 16 bit is the largest error of FFV1; scale, exposure and primaries are applied."""
    clip = ExposureSequence(
        torch.zeros(4, 64, 80, 3), torch.tensor([1.0, 4, 1, 4]), response_named("gamma2.2"), 2, gamut="V-Gamut"
    )
    report = save_video(hdr, tmp_path, "a", FFV1, peak=10_000, exposure=-1, sequence=clip)
    green, blue, red = (p / 65535 for p in planes(decoded(report.path)[2]))
    light = pq_decode(torch.from_numpy(np.stack((red, green, blue), -1)))
    expected = convert(hdr[2].double() * 4 / 2, "V-Gamut", "Rec.2020") * 203
    assert report.white == 406
    torch.testing.assert_close(light, expected.clamp(min=0), rtol=2e-3, atol=1e-3)


def tone(seconds, rate=48_000, hertz=440.0):
    t = np.arange(int(seconds * rate)) / rate
    return samples(np.stack((0.5 * np.sin(2 * np.pi * hertz * t), 0.25 * np.sin(2 * np.pi * hertz * t))), rate)


@pytest.mark.parametrize("name", [HEVC, PRORES, FFV1])
def test_sound_is_written_and_follows_the_clip(tmp_path, hdr, name):
    given = tone(1.0)
    first = save_video(hdr, tmp_path, "a", name, fps=8, sound=given, crf=30)  # 0.5 s of picture
    clip = read_clip(first.path, start=1, count=2)
    assert (clip.sound.begin, clip.sound.seconds) == (0.125, 0.25)
    again = save_video(hdr[:2], tmp_path, "b", FFV1, sequence=expose(clip, "-3,0"))
    assert again.fps == 8 and "left out" not in str(again)
    back = read_sound(read_clip(again.path).sound)
    expected = given.waveform[:, 6000:18000]
    assert back.rate == 48_000 and abs(back.waveform.shape[1] - 12_000) <= 1200
    both = min(back.waveform.shape[1], 12_000)
    error = abs(back.waveform[:, 200 : both - 1200] - expected[:, 200 : both - 1200]).max()
    assert error < (0.05 if name == HEVC else 1e-4)  # AAC loses a little
    longer = save_video(
        hdr, tmp_path, "c", FFV1, fps=2, sequence=expose(clip, "-3,0").with_(frames=hdr, exposures=torch.ones(4))
    )
    assert "own sound of 0.25 s is left out, the picture lasts 2.00 s" in str(longer)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 6, 8])
def test_sound_of_many_channels_is_kept(tmp_path, hdr, name, channels):
    time = np.arange(24_000) / 48_000
    pitches = [200 + 100 * k for k in range(channels)]
    given = samples(np.stack([0.3 * np.sin(2 * np.pi * pitch * time) for pitch in pitches]), 48_000)
    back = read_sound(read_clip(save_video(hdr, tmp_path, "a", name, fps=8, sound=given).path).sound)
    assert len(back.waveform) == channels
    spectrum = abs(np.fft.rfft(back.waveform[:, 1000:21_000]))[:, 1:]  # of steps of 2.4 Hz
    heard = 2.4 * (spectrum.argmax(1) + 1)
    full = [k for k in range(channels) if not (channels > 2 and k == 3)]  # but for the low-frequency effects
    assert abs(heard[full] - np.array(pitches)[full]).max() < 3


@pytest.mark.parametrize("name", FORMATS)
def test_timecode_follows_the_clip(tmp_path, hdr, name):
    first = save_video(hdr, tmp_path, "a", name, fps=25, timecode="10:00:00:24")
    clip = read_clip(first.path, start=1, count=2)
    assert clip.timecode == "10:00:01:00"
    again = save_video(hdr[:2], tmp_path, "b", name, sequence=expose(clip, "-3,0"))
    assert read_clip(again.path).timecode == "10:00:01:00"
    wired = save_video(hdr[:2], tmp_path, "b", name, sequence=expose(clip, "-3,0"), fps=float(clip.fps))
    assert read_clip(wired.path).timecode == "10:00:01:00"
    other = save_video(hdr[:2], tmp_path, "b", name, sequence=expose(clip, "-3,0"), fps=24)
    assert "timecode 10:00:01:00 is left out: it counts 25 frames a second" in str(other)
    assert not read_clip(other.path).timecode
    slow = save_video(hdr[:2], tmp_path, "c", name, fps=8, timecode="10:00:00:00")
    assert "the timecode is left out" in str(slow) and not read_clip(slow.path).timecode


@pytest.mark.parametrize(
    "fps, timecode, written",
    [(25, "10:00:00;05", "10:00:00:05"), (Fraction(30000, 1001), "10:00:00;05", "10:00:00;05"), (30, "", "")],
)
def test_timecode_drops_numbers_where_there_is_drop_frame(tmp_path, hdr, fps, timecode, written):
    report = save_video(hdr[:2], tmp_path, "a", PRORES, fps=fps, timecode=timecode)
    assert read_clip(report.path).timecode == written
    assert ("drops numbers at 29.97" in str(report)) == (written != timecode)


@pytest.mark.parametrize("timecode, nearest", [("01:00:00:59", "01:00:01:29"), ("01:01:00;00", "01:00:59;28")])
def test_timecode_that_the_rate_does_not_have_is_moved(tmp_path, hdr, timecode, nearest):
    report = save_video(hdr[:2], tmp_path, "a", PRORES, fps=30, timecode=timecode)
    assert f"{timecode} does not exist at 30 frames a second" in str(report)
    assert read_clip(report.path).timecode == nearest


@pytest.mark.parametrize(
    "name, rate, kept", [(HEVC, 192_000, 96_000), (HEVC, 44_101, 48_000), (FFV1, 192_000, 192_000)]
)
def test_sound_is_resampled_to_a_rate_that_the_format_has(tmp_path, hdr, name, rate, kept):
    given = tone(0.5, rate)
    report = save_video(hdr, tmp_path, "a", name, fps=8, sound=given, crf=30)
    back = read_sound(read_clip(report.path).sound)
    assert back.rate == kept and abs(back.waveform.shape[1] / kept - 0.5) < 0.03
    spectrum = abs(np.fft.rfft(back.waveform[0, : kept // 4]))
    assert abs(4 * spectrum.argmax() - 440) <= 4
    assert ("resampled" in str(report.notes)) == (kept != rate)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_sound_of_hardly_any_samples_is_resampled_too(tmp_path, hdr, length):
    given = Samples(np.zeros((2, length), np.float32), 192_000)
    assert save_video(hdr, tmp_path, "a", HEVC, sound=given, crf=40).path.exists()


def test_odd_sizes_lose_a_column_and_nothing_is_overwritten(tmp_path, hdr):
    report = save_video(hdr[:2, :63, :79], tmp_path, "a", HEVC, crf=30)
    assert report.size == (62, 78) and "the last row or column of 79x63 is left out" in str(report)
    assert (decoded(report.path)[0].height, decoded(report.path)[0].width) == (62, 78)
    whole = save_video(hdr[:2, :63, :79], tmp_path, "a", FFV1)
    assert whole.path.name == "a_v001.mkv" and whole.size == (63, 79) and decoded(whole.path)[0].width == 79
    assert save_video(hdr[:1], tmp_path, "a", HEVC, crf=30).path.name == "a_v002.mp4"


@pytest.mark.parametrize("peak, passes", [(10_000, 2), (100, 3)])
def test_every_pass_is_in_the_progress(peak, passes, tmp_path, hdr):
    """Highlights that are rolled off take one more pass, which can be cancelled, too."""
    steps = []
    save_video(hdr, tmp_path, "a", FFV1, peak=peak, progress=lambda done, total: steps.append(done / total))
    assert len(steps) == passes * len(hdr) and steps == sorted(set(steps)) and steps[-1] == 1


def test_cancelling_and_missing_encoders_leave_nothing(tmp_path, hdr, monkeypatch):
    class Cancelled(BaseException):
        pass

    def progress(done, total):
        assert total == 12
        if done == 10:
            assert [p.name for p in tmp_path.iterdir()][0].startswith(".a_v001.")
            raise Cancelled

    with pytest.raises(Cancelled):
        save_video(hdr, tmp_path, "a", FFV1, progress=progress)
    assert not list(tmp_path.iterdir())
    real = av.codec.Codec

    def codec(name, mode):
        if name == "libx265":
            raise av.codec.codec.UnknownCodecError(name)
        return real(name, mode)

    monkeypatch.setattr(av.codec, "Codec", codec)
    with pytest.raises(
        ValueError, match="the installed PyAV has no encoder libx265, which HEVC.*choose another format"
    ):
        save_video(hdr, tmp_path, "a", HEVC)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path, hdr):
    import platform

    abandoned = tmp_path / f".a_v001.99999999.{platform.node()}.partial.mkv"
    elsewhere = tmp_path / ".a_v002.1.another.host.partial.mkv"
    abandoned.touch(), elsewhere.touch()
    assert save_video(hdr[:1], tmp_path, "a", FFV1).path.name == "a_v001.mkv"
    assert save_video(hdr[:1], tmp_path, "a", FFV1).path.name == "a_v003.mkv"  # another machine writes the second
    assert elsewhere.exists() and not abandoned.exists()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"file_format": "mp4"}, "format is 'mp4'"),
        ({"transfer": "gamma"}, "transfer is 'gamma'"),
        ({"peak": float("nan")}, "peak is nan"),
        ({"reference_white": 0}, "reference_white is 0"),
        ({"timecode": "1:2"}, "the timecode is '1:2'"),
        ({"fps": -1}, "frame rate is -1"),
        ({"scale": "compositing"}, "needs the exposures"),
        ({"prefix": "../a"}, "stays inside"),
        ({"frames": torch.rand(2, 15, 80, 3)}, "frames are 80x15, HEVC.* needs 16x16 or more: choose another format"),
    ],
)
def test_bad_arguments_are_told_before_work(tmp_path, hdr, changes, words):
    with pytest.raises(ValueError, match=words):
        save_video(**{"frames": hdr, "root": tmp_path / "root", "prefix": "a", **changes})
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_rates_are_exact(tmp_path, hdr):
    report = save_video(hdr[:2], tmp_path, "a", PRORES, fps=29.97)
    with av.open(str(report.path)) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)


NARROW = """
import sys, torch
from hdrweave.stages.output.save_video import save_video
for width in (34, 36, 48) * 3:
    save_video(torch.rand(5, 16, width, 3), sys.argv[1])
"""


def test_narrow_hevc_leaves_the_process_alive(tmp_path):
    done = subprocess.run([sys.executable, "-c", NARROW, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]
