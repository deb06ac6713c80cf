from fractions import Fraction

import pytest
from hdrweave.hdr.timecode import is_timecode, later

DROP = Fraction(30000, 1001)


@pytest.mark.parametrize(
    "begin, frames, fps, end",
    [
        ("01:00:00:00", 25, 25, "01:00:01:00"),
        ("23:59:59:23", 1, Fraction(24000, 1001), "00:00:00:00"),
        ("00:00:59;29", 1, DROP, "00:01:00;02"),
        ("00:09:59;29", 1, DROP, "00:10:00;00"),
        ("00:00:00;00", 107892, DROP, "01:00:00;00"),  # frames of an hour
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("10:00:00:00", 0, 50, "10:00:00:00"),
        ("00:00:59;24", 1, Fraction(25), "00:01:00:00"),  # drop-frame, which 25 Hz does not have
    ],
)
def test_known_timecodes(begin, frames, fps, end):
    assert later(begin, frames, fps) == end


def test_every_number_of_an_hour_comes_once_and_in_order():
    code, seen = "00:58:30;00", []
    for _ in range(4000):
        code = later(code, 1, DROP)
        seen.append(code)
    assert seen == sorted(set(seen)) and "01:01:00;01" not in seen and "01:00:00;00" in seen
    assert later("00:58:30;00", 4000, DROP) == seen[-1]


def test_what_is_no_timecode():
    assert not is_timecode("1:00:00:00") and not is_timecode("01:61:00:00") and is_timecode("01:00:00;02")
    with pytest.raises(ValueError, match="is no timecode"):
        later("now", 1, DROP)
