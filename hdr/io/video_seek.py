"""A part of a video without decoding what lies before it: from the keyframe before it on."""

from collections.abc import Iterator, Sequence

from .video_files import opened_stream

# Frames before the part at which a keyframe is sought, in turn: an index may lead behind the part.
BACK = (0, 16, 64, 256)


def frames_at(source, times: Sequence[int], first: int, count: int) -> Iterator:
    """Frames first … first+count-1 of a video, to be turned to pixels by `to_rgb`.

    times: presentation times of the frames 0, 1 … of the video as they are decoded from its beginning, rising, in its time base.
    Raises OSError where seeking does not give the same frames. It may still give frames of these times and other content
    (a file whose index calls a frame a keyframe that is none): compare them.
    """
    wanted = times[first : first + count]
    for back in BACK:
        found = _from(source, times[first - back] if back < first else None, wanted)
        begun = next(found, None)
        if begun is not None:
            yield begun
            yield from found
            return
        if back >= first:
            break
    raise OSError("no keyframe was found by seeking")


def _from(source, time: int | None, wanted: Sequence[int]) -> Iterator:
    """Frames at the times `wanted`, decoded from a keyframe at or before `time` on, None = from the beginning; none when that
    lies behind the first of them."""
    from av import error as errors

    with opened_stream(source) as (container, stream):
        stream.thread_type = "AUTO"
        done = 0
        try:
            if time is not None:
                container.seek(time, stream=stream)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts < wanted[0]:
                    continue
                if frame.pts != wanted[done] or frame.is_corrupt:
                    break
                yield frame
                done += 1
                if done == len(wanted):
                    return
        except (errors.FFmpegError, UnicodeError, MemoryError) as error:
            raise OSError(f"the video cannot be read from a keyframe on ({error})") from error
        if done:
            raise OSError("seeking gave other frames")
