"""Decoded frames of PyAV as R'G'B' codes in their own depth.

Y'CbCr is turned to R'G'B' here and not by the scaler, which maps 10-bit white to 0.996 and would hide clipping. Matrix
and range come from the stream's tags; an untagged stream is read as BT.601 up to 576 lines and as BT.709 above, limited
range, as players do.
"""

import numpy as np

from .checked_path import printable
from .display_matrix import upright

_KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
_KR_KB |= {9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # keys: matrix coefficients of ITU-T H.273
LIMITED_RANGE, FULL_RANGE = 1, 2


def to_rgb(frame, full_code: bool = False) -> np.ndarray:
    """A decoded frame as RGB (H,W,3): uint8, or uint16 (white = 65535) if deeper; turned and mirrored as it is displayed.

    full_code: values of a limited-range frame as shares of the largest code, (64 + 876 E') / 1023 for 10 bit, always uint16;
    codes above white (superwhite) are kept. Raises OSError for a pixel format that cannot be converted.
    """
    from av import error as errors

    try:
        return upright(_rgb(frame, full_code), frame)
    except (errors.FFmpegError, ValueError, IndexError) as error:
        raise OSError(
            f"frames in the pixel format {printable(getattr(frame.format, 'name', '?'))} cannot be read "
            f"({printable(error)}): export the video in another one"
        ) from error


def is_limited(frame) -> bool:
    """Whether a decoded frame has limited range: black at 16 and white at 235, in steps of 8 bit."""
    if frame.format.name.startswith("gray"):
        return int(frame.color_range) == LIMITED_RANGE
    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    return not (full or frame.format.is_rgb or frame.format.name == "pal8")


def code_levels(frame) -> tuple[float, float]:
    """Black and white of limited range as shares of the largest code of the frame's depth."""
    depth = max(component.bits for component in frame.format.components)
    unit = 2.0 ** (depth - 8) / (2.0**depth - 1)
    return 16 * unit, 235 * unit


def _rgb(frame, full_code: bool = False) -> np.ndarray:
    if full_code and is_limited(frame) and not frame.format.name.startswith("gray"):
        depth = max(component.bits for component in frame.format.components)
        rgb = _full_resolution(frame, depth)
        return _rounded((16 + 219 * rgb) * (2.0 ** (depth - 8) / (2.0**depth - 1)), 65535)
    depth = max(component.bits for component in frame.format.components)
    white = 255 if depth <= 8 else 65535
    if frame.format.name.startswith("gray") and int(frame.color_range) == LIMITED_RANGE and not full_code:
        # The scaler takes gray for full range whatever its tag says.
        spread = frame.to_ndarray(format="rgb24" if depth <= 8 else "rgb48le").astype(np.float32) / white
        code = spread * ((2.0**depth - 1) / 2.0 ** (depth - 8))  # in 8-bit steps
        return _rounded((code - 16) / 219, white)
    if frame.format.is_rgb or frame.format.name == "pal8" or frame.format.name.startswith("gray"):
        return frame.to_ndarray(format="rgb24" if depth <= 8 else "rgb48le")
    return _rounded(_full_resolution(frame, depth), white)


def _rounded(rgb: np.ndarray, white: int) -> np.ndarray:
    """Values in [0,1] as whole codes up to `white`; `rgb` is written over."""
    np.multiply(rgb, white, out=rgb)
    return np.clip(np.rint(rgb, out=rgb), 0, white, out=rgb).astype(np.uint8 if white == 255 else np.uint16)


def _full_resolution(frame, depth: int) -> np.ndarray:
    """Y'CbCr of any layout and depth to R'G'B' (H,W,3), float32, 0 = black and 1 = white of the signal's range."""
    from av.video.reformatter import ColorRange, Colorspace

    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    # equal spaces and ranges on both sides: only chroma is scaled up; declared as limited, 16 bit is a plain shift
    space = Colorspace.ITU709
    carrier = ColorRange.JPEG if full and depth <= 8 else ColorRange.MPEG
    yuv = frame.reformat(
        format="yuv444p" if depth <= 8 else "yuv444p16le",
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=carrier,
        dst_color_range=carrier,
    ).to_ndarray()
    if yuv.shape[0] == 3 and yuv.shape[-1] != 3:
        yuv = np.moveaxis(yuv, 0, -1)
    y, cb, cr = (yuv[..., k].astype(np.float32) for k in range(3))
    unit = 1.0 if depth <= 8 else 256.0  # one 8-bit step
    if full:
        peak = 255.0 if depth <= 8 else float((2**depth - 1) << (16 - depth))
        y, cb, cr = y / peak, (cb - 128 * unit) / peak, (cr - 128 * unit) / peak
    else:
        y, cb, cr = (y / unit - 16) / 219, (cb / unit - 128) / 224, (cr / unit - 128) / 224
    kr, kb = _KR_KB.get(int(frame.colorspace), _KR_KB[5 if frame.height <= 576 else 1])
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.stack((red, green, blue), axis=-1)
