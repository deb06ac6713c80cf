"""CinemaDNG by rawpy, where it is installed: linear light between the camera's black and white level."""

import struct

import numpy as np
import pytest

BYTE, TEXT, SHORT, LONG, RATIONAL, SIGNED = 1, 2, 3, 4, 5, 10
XYZ_TO_REC709 = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)


def write_dng(path, raw, black=256, white=4095, neutral=((1, 2), (1, 1), (2, 3))):
    """An uncompressed DNG (Adobe, DNG Specification 1.4) of a camera whose primaries are Rec.709's, RGGB."""
    height, width = raw.shape
    data = raw.astype("<u2").tobytes()
    matrix = [(round(x * 10_000), 10_000) for x in XYZ_TO_REC709]
    tags = [
        *(
            (254, LONG, 0),
            (256, LONG, width),
            (257, LONG, height),
            (258, SHORT, 16),
            (259, SHORT, 1),
            (262, SHORT, 32803),
        ),
        *((271, TEXT, b"Test\0"), (272, TEXT, b"Cam\0"), (273, LONG, None), (274, SHORT, 1), (277, SHORT, 1)),
        *(
            (278, LONG, height),
            (279, LONG, len(data)),
            (284, SHORT, 1),
            (33421, SHORT, (2, 2)),
            (33422, BYTE, b"\0\1\1\2"),
        ),
        *((50706, BYTE, b"\1\4\0\0"), (50707, BYTE, b"\1\1\0\0"), (50708, TEXT, b"Test Cam\0"), (50714, LONG, black)),
        *((50717, LONG, white), (50721, SIGNED, matrix), (50728, RATIONAL, neutral), (50778, SHORT, 21)),
    ]
    begin = 8 + 2 + 12 * len(tags) + 4
    packed, values = [], b""
    for tag, kind, value in tags:
        items = value if isinstance(value, bytes | tuple | list) else (value,)
        if kind in (BYTE, TEXT):
            content = items
        elif kind in (RATIONAL, SIGNED):
            content = b"".join(struct.pack("<ii", *item) for item in items)
        else:
            content = b"".join(struct.pack("<H" if kind == SHORT else "<I", item or 0) for item in items)
        packed.append((tag, kind, len(items), content))
        if len(content) > 4:
            values += content + b"\0" * (len(content) % 2)
    entries, place = b"", begin
    for tag, kind, count, content in packed:
        if tag == 273:
            content = struct.pack("<I", begin + len(values))
        if len(content) > 4:
            entries += struct.pack("<HHII", tag, kind, count, place)
            place += len(content) + len(content) % 2
        else:
            entries += struct.pack("<HHI", tag, kind, count) + content.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    path.write_bytes(head + entries + bytes(4) + values + data)


def test_black_white_and_white_balance(tmp_path):
    pytest.importorskip("rawpy")
    from hdrweave.hdr.io.raw_files import read_raw

    raw = np.full((64, 96), 256 + 1000)
    raw[:, 48:], raw[32:] = 4095, 256
    write_dng(tmp_path / "a.dng", raw)
    rgb = read_raw(tmp_path / "a.dng") / 65535
    level = 1000 / (4095 - 256)
    assert abs(rgb[10, 10] - np.array([2, 1, 1.5]) * level).max() < 2e-3
    assert rgb[10, 80].min() > 0.999 and rgb[50, 50].max() == 0
    (tmp_path / "b.dng").write_bytes((tmp_path / "a.dng").read_bytes()[:300])
    with pytest.raises(OSError, match="b.dng is not a readable raw file"):
        read_raw(tmp_path / "b.dng")
