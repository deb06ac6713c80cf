"""The header of an OpenEXR file, read without the library: what it would allocate is known before it does.

Layout: openexr.com, "OpenEXR File Layout". Magic number, version with flags, then for every part a list of attributes
(name, type, size, value) that ends with an empty name; a multi-part file ends its list of parts with an empty header.
"""

import struct
from dataclasses import dataclass, field

from .checked_path import check_picture_size, filled_file, printable

MAGIC = 20000630
MULTIPART = 0x1000  # flag of the version field
FIRST = 1 << 18  # bytes that are read at first
MAX_HEADER = 64 << 20  # bytes; workflows are stored in headers
MAX_ENTRIES = 10_000  # attributes and channels; of hundreds of thousands the library reads for minutes
MAX_BYTES = 8 << 30  # of all pixels of a file, unpacked
BYTES = {0: 4, 1: 2, 2: 4}  # of a value: unsigned integer, half, float
Window = tuple[int, int, int, int]  # left, top, right, bottom, all inside


@dataclass(frozen=True)
class Channel:
    name: str
    kind: int
    sampling: tuple[int, int]


@dataclass(frozen=True)
class Part:
    """One picture of a file. chromaticities: x, y of red, green, blue and white; None = Rec.709. exposure: time in seconds and
    ISO speed, None = not stated. called: its name and that of the view of its channels without a layer. texts: attributes of
    type string; attributes: how many there are of all types."""

    channels: tuple[Channel, ...]
    data: Window
    display: Window
    deep: bool
    chromaticities: tuple[float, ...] | None
    exposure: tuple[float | None, float | None]
    called: tuple[str, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    attributes: int = 0

    @property
    def names(self) -> set[str]:
        return {channel.name for channel in self.channels}


def read_header(path) -> tuple[Part, ...]:
    """The parts of an EXR file. Raises OSError for what is no EXR file or is cut short in its header, ValueError for windows
    that cannot be those of a picture, or more pixels than are read."""
    content = b""
    for most in (FIRST, MAX_HEADER):  # pixels are not read, except those beside a short header
        with open(filled_file(path), "rb") as file:
            content = file.read(most)
        try:
            parts = tuple(_part(attributes) for attributes in _attributes(content))
            break
        except (struct.error, IndexError, KeyError, ValueError) as error:
            if len(content) < most or most == MAX_HEADER:
                raise OSError(f"{printable(path)} is not a readable OpenEXR file: write or copy it again") from error
    if not parts:
        raise OSError(f"{printable(path)} is not a readable OpenEXR file: write or copy it again")
    _check_entries(path, parts)
    total = 0
    for part in parts:
        for left, top, right, bottom in (part.data, part.display):
            check_picture_size(path, right - left + 1, bottom - top + 1)
        left, top, right, bottom = part.data
        total += (right - left + 1) * (bottom - top + 1) * sum(BYTES.get(c.kind, 4) for c in part.channels)
    if total > MAX_BYTES:
        raise ValueError(
            f"{printable(path)} announces {total / 1e9:.0f} GB of pixels, up to {MAX_BYTES / 1e9:.0f} GB are read: "
            "write fewer parts or channels"
        )
    return parts


def _check_entries(path, parts) -> None:
    entries = sum(part.attributes + len(part.channels) for part in parts)
    if entries > MAX_ENTRIES:
        raise ValueError(
            f"{printable(path)} has {entries} attributes and channels, up to {MAX_ENTRIES} are read: write it with fewer"
        )


def _attributes(content: bytes):
    """The attributes of each part: {name: (type, value)}."""
    magic, version = struct.unpack_from("<ii", content)
    if magic != MAGIC or version & 0xFF != 2:
        raise ValueError("no EXR")
    position = 8
    while True:
        attributes = {}
        while content[position]:
            name, position = _text(content, position)
            kind, position = _text(content, position)
            (size,) = struct.unpack_from("<i", content, position)
            position += 4
            if size < 0 or position + size > len(content):
                raise ValueError("cut short")
            attributes[name] = kind, content[position : position + size]
            position += size
        position += 1
        if attributes:
            yield attributes
        if not attributes or not version & MULTIPART:
            return


def _text(content: bytes, position: int) -> tuple[str, int]:
    end = content.index(b"\0", position, position + 256)
    return content[position:end].decode("utf-8", "backslashreplace"), end + 1


def _part(attributes: dict) -> Part:
    def window(name: str) -> Window:
        return struct.unpack("<4i", attributes[name][1])

    def number(name: str) -> float | None:
        kind, value = attributes.get(name, ("", b""))
        return struct.unpack("<f", value)[0] if kind == "float" and len(value) == 4 else None

    def words(name: str) -> str:
        return attributes.get(name, ("", b""))[1].decode("utf-8", "backslashreplace")

    views = attributes.get("multiView", ("", b""))[1]  # a vector of texts, each after its length
    first = (
        views[4 : 4 + struct.unpack_from("<i", views)[0]].decode("utf-8", "backslashreplace") if len(views) > 4 else ""
    )
    kind = attributes.get("type", ("", b""))[1]
    chromaticities = attributes.get("chromaticities", ("", b""))[1]
    return Part(
        _channels(attributes["channels"][1]),
        window("dataWindow"),
        window("displayWindow"),
        kind.startswith(b"deep"),
        struct.unpack("<8f", chromaticities) if len(chromaticities) == 32 else None,
        (number("expTime"), number("isoSpeed")),
        tuple(filter(None, (words("name"), words("view"), first))),
        {name: value.decode("utf-8", "replace") for name, (kind, value) in attributes.items() if kind == "string"},
        len(attributes),
    )


def _channels(value: bytes) -> tuple[Channel, ...]:
    found, position = [], 0
    while value[position]:
        name, position = _text(value, position)
        kind, _, x, y = struct.unpack_from("<iiii", value, position)
        position += 16
        found.append(Channel(name, kind, (x, y)))
    return tuple(found)


# Lines of a block, by compression: none, RLE, ZIPS, ZIP, PIZ, DWAA, DWAB.
LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 8: 32, 9: 256}


def is_whole(path) -> bool:
    """Whether an EXR file of one part with scan lines is there to its last byte: its table of blocks is filled, and the last
    block ends where the file does. False for anything else, and for headers longer than FIRST; nothing is raised."""
    try:
        with open(path, "rb") as file:
            content = file.read(FIRST)
            size = file.seek(0, 2)
            attributes = next(_attributes(content))
            _, top, _, bottom = struct.unpack("<4i", attributes["dataWindow"][1])
            count = -(-(bottom - top + 1) // LINES[attributes["compression"][1][0]])
            begin = _end_of_header(content)
            file.seek(begin)
            table = struct.unpack(f"<{count}Q", file.read(8 * count))
            file.seek(max(table))
            _, length = struct.unpack("<ii", file.read(8))
        return min(table) >= begin + 8 * count and max(table) + 8 + length == size
    except (OSError, struct.error, IndexError, KeyError, ValueError, StopIteration):
        return False


def _end_of_header(content: bytes) -> int:
    position = 8
    while content[position]:
        for _ in range(2):
            _, position = _text(content, position)
        (size,) = struct.unpack_from("<i", content, position)
        position += 4 + size
    return position + 1
