"""Camera raw and CinemaDNG frames by rawpy (LibRaw), which is optional: `pip install rawpy`."""

import numpy as np

from .checked_path import check_picture_size, filled_file, printable

RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef")
MAX_BYTES = 1 << 30


def read_raw(path) -> np.ndarray:
    """A raw file as linear Rec.709 light (H,W,3), uint16, 65535 where the sensor clips: black and white level of the camera,
    its as-shot white balance, no brightening, no highlight reconstruction.

    Raises ImportError, with what to do, where rawpy is missing; OSError for a file that LibRaw cannot read.
    """
    path = filled_file(path, MAX_BYTES)
    try:
        import rawpy  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise ImportError(
            f"{printable(path)} is a camera raw file: run `pip install rawpy` in the Python that runs ComfyUI, or export "
            "the frames as 16-bit tiff or linear exr"
        ) from error
    try:
        with rawpy.imread(str(path)) as raw:
            check_picture_size(path, raw.sizes.raw_width, raw.sizes.raw_height)
            rgb = raw.postprocess(
                gamma=(1, 1),
                no_auto_bright=True,
                use_camera_wb=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,  # Rec.709's primaries; linear by gamma above
                highlight_mode=rawpy.HighlightMode.Clip,
            )
    except (rawpy.LibRawError, OSError) as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
        raise OSError(f"{printable(path)} is not a readable raw file ({printable(reason)}): copy it again") from error
    return np.ascontiguousarray(rgb)
