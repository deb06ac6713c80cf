import time

import pytest
from hdrweave.hdr.exposure_pattern import looks_like_factors, parse_pattern


@pytest.mark.parametrize(
    "text, expected",
    [
        ("-3,0", [1, 8]),
        ("0 -3", [8, 1]),
        ("−2; 0; +2", [1, 4, 16]),
        ("EV -1.5, 1.5", [1, 8]),
        ("-3 EV, 0 EV", [1, 8]),
        ("1/500,1/60", [1, 500 / 60]),
        ("2ms,16ms", [1, 8]),
        ("1/8,1", [1, 8]),
        ("1/500,0.016", [1, 8]),
        ("2 ms 16 ms", [1, 8]),
        ("0.002s,0.016s", [1, 8]),
        ("250us, 1/1000 s", [1, 4]),
        ("ISO 100,800", [1, 8]),
        ("iso800 iso100", [8, 1]),
        ("100,400,1600", [1, 4, 16]),
        ("1x,8x", [1, 8]),
        ("1x 4x 16 x", [1, 4, 16]),
        ("1×; 8×", [1, 8]),
        ("1:8", [1, 8]),
        ("16 : 4:1", [16, 4, 1]),
        ("0dB,18.0618 dB", [1, 8]),
        ("-6dB 12dB", [1, 10**0.9]),
        ("0 stops, 3 stops", [1, 8]),
        ("-2,0,2,0", [1, 4, 16, 4]),
        ("-3,0,-3,0", [1, 8]),
        ("1/60 1/500 1/60 1/500 1/60 1/500", [500 / 60, 1]),
    ],
)
def test_every_way_of_writing_a_pattern(text, expected):
    assert parse_pattern(text) == pytest.approx(expected)


def test_auto_is_none():
    assert parse_pattern(" Auto ") is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "0 exposures"),
        ("-3", "1 exposures"),
        ("0,0", "the same"),
        ("2ms,2ms,2ms", "the same"),
        ("ISO 0,100", "0 or less"),
        ("0s,1s", "0 or less"),
        ("-1/60,1/500", "0 or less"),
        ("0,17", "16 stops"),
        ("1us,10s", "16 stops"),
        ("0.001,0.008", "need a unit"),
        ("ISO 100,2ms", "unit"),
        ("short,long", "cannot be read at 'short,long'"),
        ("1/0,1/60", "cannot be read"),
        ("-3,0x", "mixes kinds of numbers"),
        ("1x,8", "mixes kinds of numbers"),
        ("0x,8x", "0 or less"),
        ("0dB,18", "every gain its dB"),
        ("0dB,100dB", "16 stops"),
        ("0:8", "0 or less"),
        ("1:8,1:8", "cannot be read"),
        ("-0,5;0", "has commas and semicolons"),
        ("-3,0y", "cannot be read at '0y'"),
        ("9" * 30000, "30000 characters, at most 1000"),
        ("9" * 900 + ",1", "stops"),
        ("-" + "9" * 900 + ",1", "16 stops"),
        (None, "a text is expected"),
    ],
)
def test_bad_patterns_name_the_fault(text, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)


def test_patterns_that_are_factors_in_papers():
    assert all(map(looks_like_factors, ("1,8", "1 4 16", "8,1", "1.0, 4.0")))
    assert not any(map(looks_like_factors, ("1,2", "0,3", "-3,0", "1x,8x", "1,3", "100,800", "1s,8s", "auto", "1,0")))


@pytest.mark.parametrize("text", ["9" * 1000, "1 " * 500, " " * 999 + "1", "1s " * 333, ",1" * 500, "1." * 499])
def test_no_text_takes_long(text):
    begun = time.process_time()
    with pytest.raises(ValueError) as caught:
        parse_pattern(text)
    assert time.process_time() - begun < 0.5 and len(str(caught.value)) < 500
