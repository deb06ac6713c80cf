"""The size that the header of an image file announces, read before a decoder takes memory for it."""

import re
import struct

_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
FILL = re.compile(rb"\xff+")  # before a marker
SEGMENTS = 100_000  # of a jpeg before its frame
HEAD = 1 << 16  # bytes of a portable anymap within which its size stands
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def announced_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a png, jpeg, tiff, bmp, webp, portable anymap or Radiance file; None where none is found."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", content, 16)
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content[:4] in _TIFF:
            return _tiff(content)
        if content.startswith(b"BM"):
            return _bmp(content)
        if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp(content)
        if re.match(rb"P[1-7]\s", content):
            return _anymap(content)
        if content.startswith(b"#?"):
            found = re.search(rb"\n[-+]([XY]) (\d{1,10}) [-+][XY] (\d{1,10})\n", content[:65536])
            if found:
                first, second = int(found[2]), int(found[3])
                return (second, first) if found[1] == b"Y" else (first, second)
    except (struct.error, IndexError, TypeError, ValueError, OverflowError):
        pass
    return None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    position = 2
    for _ in range(SEGMENTS):
        if content[position] != 0xFF:  # decoders, too, skip what is no marker
            position = content.find(b"\xff", position)
            if position < 0:
                return None
        marker = content[position + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        if marker == 0xFF:
            position = FILL.match(content, position).end() - 1  # pyright: ignore[reportOptionalMemberAccess]  one is there
        elif 0xD0 <= marker <= 0xD8 or marker == 1:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", content, position + 2)[0]
    return None


def white_is_zero(content: bytes) -> bool:
    """Whether a tiff file stores its first picture as a negative (photometric interpretation WhiteIsZero), which decoders leave
    as it is."""
    return _first_picture(content, (262,)).get(262) == 0


def separate_planes(content: bytes) -> bool:
    """Whether a tiff file stores its first picture in more than 8 bit, each colour in a plane of its own (planar configuration
    2), which decoders read as if the colours of a pixel lay side by side."""
    found = _first_picture(content, (258, 277, 284))
    return found.get(284) == 2 and found.get(277, 1) > 1 and found.get(258, 1) > 8


def straight_alpha(content: bytes) -> bool:
    """Whether a tiff file stores its first picture in 8 bit with an alpha channel by which its colours are not multiplied
    (unassociated), which decoders do then."""
    found = _first_picture(content, (258, 338))
    return found.get(258) == 8 and found.get(338) == 2


def _first_picture(content: bytes, tags: tuple[int, ...]) -> dict[int, int]:
    """The numbers under some tags of the first picture of a tiff file; none in other files."""
    try:
        return next(_directories(content, tags)) if content[:4] in _TIFF else {}
    except (struct.error, StopIteration, OverflowError):
        return {}


def _tiff(content: bytes) -> tuple[int, int] | None:
    """The largest directory's size: of the pictures in the file any may be decoded."""
    sizes = [(found[256], found[257]) for found in _directories(content, (256, 257)) if len(found) == 2]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _directories(content: bytes, tags: tuple[int, ...]):
    """Of each directory of a tiff file, the numbers under the tags that are asked for; of several under one tag the first."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    value, count_form, entry = (12, "Q", 20) if big else (8, "H", 12)
    offset = "Q" if big else "I"
    (place,) = struct.unpack_from(order + offset, content, 8 if big else 4)
    seen = set()
    while place and place not in seen and len(seen) < 64:
        seen.add(place)
        (count,) = struct.unpack_from(order + count_form, content, place)
        position, found = place + struct.calcsize(count_form), {}
        for _ in range(min(count, 4096)):
            tag, kind, several = struct.unpack_from(order + "HH" + offset, content, position)
            if tag in tags and kind in _TIFF_TYPES:
                form, at = order + _TIFF_TYPES[kind], position + value
                if several * struct.calcsize(form) > struct.calcsize(offset):  # they lie elsewhere
                    (at,) = struct.unpack_from(order + offset, content, at)
                (found[tag],) = struct.unpack_from(form, content, at)
            position += entry
        yield found
        (place,) = struct.unpack_from(order + offset, content, position)


def _bmp(content: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", content, 14)[0] == 12:
        return struct.unpack_from("<HH", content, 18)
    width, height = struct.unpack_from("<ii", content, 18)
    return abs(width), abs(height)


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[k : k + 3], "little") + 1 for k in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _anymap(content: bytes) -> tuple[int, int] | None:
    head = content[:HEAD]
    if content.startswith(b"P7"):
        width, height = (re.search(rb"\n%s (\d{1,10})\s" % word, head) for word in (b"WIDTH", b"HEIGHT"))
        return (int(width[1]), int(height[1])) if width and height else None
    width, height, _ = re.sub(rb"#[^\n]*", b" ", head[2:]).split(None, 2)
    return int(width[:10]), int(height[:10])
