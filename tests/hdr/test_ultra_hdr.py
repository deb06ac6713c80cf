"""Ultra HDR JPEG read back by a parser of our own, by libultrahdr and by Pillow."""

import io
import re
import struct

import cv2
import numpy as np
import pytest
from hdrweave.hdr.io.ultra_hdr import OFFSET, write_ultra_hdr


@pytest.fixture
def pictures():
    """SDR (sRGB) and HDR (linear, up to 5 times white) of one scene, 96x131."""
    y, x = np.mgrid[0:1:96j, 0:1:131j].astype(np.float32)
    scene = (
        np.stack((0.1 + x, 0.1 + y, 1.1 - x * y), -1) * 0.7
        + 4 * np.exp(-30 * ((x - 0.5) ** 2 + (y - 0.4) ** 2))[..., None]
    )
    sdr = scene / (0.3 + scene)
    return np.where(sdr <= 0.0031308, 12.92 * sdr, 1.055 * sdr ** (1 / 2.4) - 0.055), scene


def segments(jpeg: bytes) -> list[tuple[int, int, bytes]]:
    """(kind, place of the content, content) of each segment before the scan."""
    found, place = [], 2
    while jpeg[place + 1] != 0xDA:
        assert jpeg[place] == 0xFF
        (size,) = struct.unpack_from(">H", jpeg, place + 2)
        found.append((jpeg[place + 1], place + 4, jpeg[place + 4 : place + 2 + size]))
        place += 2 + size
    return found


def parse(content: bytes):
    """Both JPEGs by the index, and the ISO block of the second as a dict."""
    place, index = next((p, c[4:]) for kind, p, c in segments(content) if kind == 0xE2 and c.startswith(b"MPF\0"))
    assert index[:8] == b"MM\0*\0\0\0\x08" and struct.unpack_from(">H", index, 8)[0] == 3
    tags = {t[0]: t for t in (struct.unpack_from(">HHII", index, 10 + 12 * k) for k in range(3))}
    assert tags[0xB001][3] == 2
    sizes = [struct.unpack_from(">III", index, tags[0xB002][3] + 16 * k) for k in range(2)]
    first = content[: sizes[0][1]]
    begin = place + 4 + sizes[1][2]
    second = content[begin : begin + sizes[1][1]]
    assert (
        begin + len(second) == len(content) and first[-2:] == second[-2:] == b"\xff\xd9" and second[:2] == b"\xff\xd8"
    )
    block = next(c for kind, _, c in segments(second) if c.startswith(b"urn:iso"))[28:]
    assert struct.unpack_from(">HHB", block) == (0, 0, 0xC0) and len(block) == 5 + 8 * (2 + 15)
    ratios = [a / b for a, b in struct.iter_unpack(">iI", block[5:])]
    return first, second, ratios[:2], np.array(ratios[2:]).reshape(3, 5)


def rebuilt(first, second, ratios):
    """HDR from both pictures, ISO 21496-1, 6.2."""
    sdr, codes = (cv2.imdecode(np.frombuffer(j, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] / 255 for j in (first, second))
    linear = np.where(sdr <= 0.04045, sdr / 12.92, ((sdr + 0.055) / 1.055) ** 2.4)
    low, high, gamma, base, alternate = ratios.T
    return (linear + base) * 2 ** (low + (high - low) * codes ** (1 / gamma)) - alternate


def psnr(a, b):
    mu = [np.log1p(5000 * np.clip(v, 0, None) / b.max()) / np.log1p(5000) for v in (a, b)]
    return -10 * np.log10(np.mean((mu[0] - mu[1]) ** 2))


def test_a_parser_of_our_own_gets_the_hdr_back(tmp_path, pictures):
    sdr, hdr = pictures
    headroom = write_ultra_hdr(tmp_path / "a.jpg", sdr, hdr)
    content = (tmp_path / "a.jpg").read_bytes()
    first, second, headrooms, ratios = parse(content)
    assert headrooms == pytest.approx([0, headroom], abs=1e-6) and headroom == pytest.approx(
        np.log2(hdr.max()), abs=1e-5
    )
    assert (ratios[:, 2] == 1).all() and (ratios[:, 3:] == OFFSET).all()
    back = rebuilt(first, second, ratios)
    assert psnr(back, hdr) > 45 and np.median(abs(back / hdr - 1)) < 0.01
    assert abs(back.max() / hdr.max() - 1) < 0.03


def test_both_xmp_packets_say_the_same(tmp_path, pictures):
    write_ultra_hdr(tmp_path / "a.jpg", *pictures)
    first, second, headrooms, ratios = parse((tmp_path / "a.jpg").read_bytes())
    packets = [next(c.decode() for kind, _, c in segments(j) if kind == 0xE1) for j in (first, second)]
    assert f'Item:Length="{len(second)}"' in packets[0] and all('hdrgm:Version="1.0"' in p for p in packets)
    for name, column in (("GainMapMin", 0), ("GainMapMax", 1)):
        values = re.search(rf"<hdrgm:{name}>(.*)</hdrgm:{name}>", packets[1])[1]
        assert [float(v) for v in re.findall(r"<rdf:li>([^<]+)<", values)] == pytest.approx(ratios[:, column], abs=2e-6)
    assert float(re.search(r'HDRCapacityMax="([^"]+)"', packets[1])[1]) == pytest.approx(headrooms[1], abs=2e-6)


def test_libultrahdr_reads_it(tmp_path, pictures):
    imagecodecs = pytest.importorskip("imagecodecs")
    if not imagecodecs.ULTRAHDR.available:
        pytest.skip("imagecodecs has no libultrahdr here")
    sdr, hdr = pictures
    headroom = write_ultra_hdr(tmp_path / "a.jpg", sdr, hdr)
    back = imagecodecs.ultrahdr_decode((tmp_path / "a.jpg").read_bytes(), boost=2.0**headroom)[..., :3].astype(
        np.float32
    )
    assert psnr(back, hdr) > 40 and np.median(abs(back / hdr - 1)) < 0.02


def test_a_reader_without_hdr_sees_the_picture(tmp_path, pictures):
    image = pytest.importorskip("PIL.Image")
    sdr, hdr = pictures
    write_ultra_hdr(tmp_path / "a.jpg", sdr, hdr)
    opened = image.open(io.BytesIO((tmp_path / "a.jpg").read_bytes()))
    assert opened.format == "JPEG" and opened.size == (131, 96)
    assert abs(np.asarray(opened.convert("RGB")) / 255 - sdr).mean() < 0.01
    plain = cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1] / 255
    assert abs(plain - sdr).mean() < 0.01


def test_black_and_flat_pictures(tmp_path):
    black = np.zeros((16, 16, 3), np.float32)
    write_ultra_hdr(tmp_path / "a.jpg", black, black)
    first, second, _, ratios = parse((tmp_path / "a.jpg").read_bytes())
    assert abs(rebuilt(first, second, ratios)).max() < 1e-3
