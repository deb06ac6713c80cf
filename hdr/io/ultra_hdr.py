"""Ultra HDR JPEG: an SDR picture with a gain map, from which HDR displays compute the HDR picture.

The file is the JPEG of the picture followed by the JPEG of the map. Three kinds of metadata describe it, as readers differ in
which they support: XMP as defined by Adobe and Google (Ultra HDR Image Format 1.1), the binary block of ISO 21496-1, and the
index of the Multi-Picture Format (CIPA DC-007), which states where the second picture begins.
"""

import struct
from dataclasses import dataclass

import numpy as np

from ..cv import cv2
from .atomic import atomic_path

OFFSET = 1 / 64  # added to both pictures, so that black has a ratio
XMP, ISO, MPF = b"http://ns.adobe.com/xap/1.0/\0", b"urn:iso:std:iso:ts:21496:-1\0", b"MPF\0"
APP1, APP2 = 0xE1, 0xE2
DENOMINATOR = 1_000_000


@dataclass(frozen=True)
class GainMap:
    """log2 of HDR over SDR, each with `OFFSET` added: codes (H,W,3) from 0 to 255 map linearly to `low` to `high` of R, G, B."""

    codes: np.ndarray
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def write_ultra_hdr(path, sdr: np.ndarray, hdr: np.ndarray, quality: int = 95) -> float:
    """Write a picture atomically; returns its headroom: log2 of the largest light over SDR white.

    sdr: (H,W,3) sRGB-encoded in [0,1]. hdr: (H,W,3) linear Rec.709, 1.0 = the white of the SDR picture, 0 or more. quality: of
    both JPEGs, up to 100. Raises OSError when it cannot be written.
    """
    picture = _jpeg(np.rint(sdr.clip(0, 1) * 255).astype(np.uint8), quality)
    # The map refers to the picture as readers decode it, after the losses of JPEG.
    shown = np.asarray(cv2().imdecode(np.frombuffer(picture, np.uint8), cv2().IMREAD_COLOR))
    gain = gain_map(_linear(shown[..., ::-1]), hdr)
    headroom = max(float(np.log2(max(hdr.max(), 1.0))), 0.1)
    content = joined(picture, _jpeg(gain.codes, quality), gain, headroom)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return headroom


def gain_map(sdr: np.ndarray, hdr: np.ndarray) -> GainMap:
    """The map from linear SDR to linear HDR, (H,W,3) both, finite."""
    gain = np.log2((hdr.astype(np.float32) + OFFSET) / (sdr.astype(np.float32) + OFFSET))
    low, high = gain.min((0, 1)), gain.max((0, 1))
    high = np.maximum(high, low + 1e-3)
    codes = np.rint((gain - low) / (high - low) * 255).astype(np.uint8)
    return GainMap(codes, tuple(low.tolist()), tuple(high.tolist()))


def _linear(codes: np.ndarray) -> np.ndarray:
    v = np.arange(256) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)[codes]


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """Baseline JPEG with colour at full resolution."""
    module = cv2()
    options = [module.IMWRITE_JPEG_QUALITY, quality]
    if hasattr(module, "IMWRITE_JPEG_SAMPLING_FACTOR"):  # since OpenCV 4.5.5
        options += [module.IMWRITE_JPEG_SAMPLING_FACTOR, module.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, encoded = module.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), options)
    if not done:
        raise OSError("OpenCV could not encode a JPEG: choose another format")
    return encoded.tobytes()


def joined(picture: bytes, second: bytes, gain: GainMap, headroom: float) -> bytes:
    """Two JPEGs as one file, with the metadata of the gain map."""
    second = _with_segments(second, [(APP1, XMP + _map_xmp(gain, headroom)), (APP2, ISO + _map_block(gain, headroom))])
    segments = [(APP1, XMP + _picture_xmp(len(second))), (APP2, ISO + struct.pack(">HH", 0, 0))]
    before = _with_segments(picture, segments)
    place = _after_jfif(picture) + len(before) - len(picture)  # of the index, after the segments above
    index = MPF + _index(0, 0, 0)
    whole = len(before) + len(index) + 4
    header = place + 4 + len(MPF)  # offsets in the index are relative to this
    index = MPF + _index(whole, len(second), whole - header)
    return before[:place] + _segment(APP2, index) + before[place:] + second


def _segment(kind: int, content: bytes) -> bytes:
    if len(content) > 65533:
        raise ValueError("a segment of a JPEG is too long")
    return struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content


def _after_jfif(jpeg: bytes) -> int:
    """Position at which segments can be inserted: after the start marker and, if there is one, the JFIF segment."""
    return 4 + struct.unpack_from(">H", jpeg, 4)[0] if jpeg[2:4] == b"\xff\xe0" else 2


def _with_segments(jpeg: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    place = _after_jfif(jpeg)
    return jpeg[:place] + b"".join(_segment(*one) for one in segments) + jpeg[place:]


def _index(first: int, second: int, offset: int) -> bytes:
    """The index of two pictures (CIPA DC-007, 5.2): version, number, and size and place of each."""
    fields = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">H", 3)
    fields += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    fields += struct.pack(">HHII", 0xB001, 4, 1, 2)
    fields += struct.pack(">HHII", 0xB002, 7, 32, len(fields) + 12 + 4)
    entries = struct.pack(">IIIHH", 0x030000, first, 0, 0, 0) + struct.pack(">IIIHH", 0, second, offset, 0, 0)
    return fields + struct.pack(">I", 0) + entries


def _map_block(gain: GainMap, headroom: float) -> bytes:
    """ISO 21496-1, C.2: versions, three channels in the colours of the picture, headrooms, then five ratios for each channel."""

    def ratio(value: float) -> bytes:
        return struct.pack(">iI", round(value * DENOMINATOR), DENOMINATOR)

    block = struct.pack(">HHB", 0, 0, 0b1100_0000) + ratio(0) + ratio(headroom)
    for low, high in zip(gain.low, gain.high, strict=True):
        block += ratio(low) + ratio(high) + ratio(1) + ratio(OFFSET) + ratio(OFFSET)
    return block


_PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" {attributes}>{content}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
_GAIN_MAP = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'


def _map_xmp(gain: GainMap, headroom: float) -> bytes:
    def sequence(name: str, values) -> str:
        items = "".join(f"<rdf:li>{value:.6f}</rdf:li>" for value in values)
        return f"<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>"

    attributes = (
        f'{_GAIN_MAP} hdrgm:Gamma="1" hdrgm:OffsetSDR="{OFFSET}" hdrgm:OffsetHDR="{OFFSET}" hdrgm:HDRCapacityMin="0" '
        f'hdrgm:HDRCapacityMax="{headroom:.6f}" hdrgm:BaseRenditionIsHDR="False"'
    )
    content = sequence("GainMapMin", gain.low) + sequence("GainMapMax", gain.high)
    return _PACKET.format(attributes=attributes, content=content).encode()


def _picture_xmp(length: int) -> bytes:
    """The list of both pictures, with the length of the second."""
    attributes = (
        f'{_GAIN_MAP} xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
    )

    def item(words: str) -> str:
        return f'<rdf:li rdf:parseType="Resource"><Container:Item {words} Item:Mime="image/jpeg"/></rdf:li>'

    items = item('Item:Semantic="Primary"') + item(f'Item:Semantic="GainMap" Item:Length="{length}"')
    content = f"<Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>"
    return _PACKET.format(attributes=attributes, content=content).encode()
