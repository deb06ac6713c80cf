"""What is wrong with a video that decodes nevertheless: frames that are missing, damaged or interlaced, a rate that varies."""

from fractions import Fraction

from ...hdr.io.video_files import VideoInfo

TOLERANCE = 0.02  # of a length that the container only estimates
OFF = 0.05  # share by which the average of a rate that varies may differ from the stated one
VARIES = 1.5  # ratio of the longest and the shortest time between two frames, above which the rate varies
PAUSE = 4  # times the usual time between two frames, from which on the recording paused


class VideoFaults:
    """Sees the decoded frames of a video in turn. ended: whether those were all that the file gives."""

    def __init__(self, info: VideoInfo):
        self.info, self.ended = info, False
        self.seen = self.corrupt = self.interlaced = 0
        self.first_corrupt = 0
        self.first: Fraction | None = None
        self.last: Fraction | None = None
        self.between: list[Fraction] = []  # seconds from frame to frame

    def see(self, frame) -> None:
        if getattr(frame, "is_corrupt", False):
            self.first_corrupt = self.first_corrupt if self.corrupt else self.seen
            self.corrupt += 1
        self.interlaced += bool(getattr(frame, "interlaced_frame", False))
        if frame.pts is not None and frame.time_base:
            time = frame.pts * frame.time_base
            if self.last is not None and time > self.last:
                self.between.append(time - self.last)
            self.first, self.last = time if self.first is None else self.first, time
        self.seen += 1

    @property
    def varies(self) -> bool:
        return len(self.between) > 1 and max(self.between) > VARIES * min(self.between)

    @property
    def fps(self) -> Fraction:
        """The stated rate; where the rate varies about another average, that, without pauses of the recording."""
        if not self.varies:
            return self.info.fps
        usual = sorted(self.between)[len(self.between) // 2]
        running = [time for time in self.between if time < PAUSE * usual]
        average = len(running) / sum(running, Fraction())
        return self.info.fps if abs(average - self.info.fps) <= OFF * self.info.fps else average

    def _lacks_frames(self) -> bool:
        """Whether the file gave fewer frames than its container announces; of a rate that varies, whether it ended earlier."""
        announced, seen = self.info.frames, self.seen
        if not self.info.exact and self.varies and self.first is not None and self.last is not None:
            seen = float(self.last - self.first + max(self.between)) * self.info.fps
        return self.ended and seen < (announced if self.info.exact else announced * (1 - TOLERANCE) - 1)

    def warnings(self, name: str) -> tuple[str, ...]:
        found = []
        if self.info.twins:
            found.append(
                f"{name} holds {self.info.twins + 1} video streams of one size, of which the first is read: if they are "
                "exposures, export each to a file of its own and connect them as images, stream_2 and stream_3"
            )
        announced = self.info.frames
        if self._lacks_frames():
            about = "" if self.info.exact else "about "
            found.append(
                f"{self.seen} of {about}{announced} frames: {name} announces more than can be decoded, it is cut short or "
                "damaged; copy it again"
            )
        if self.corrupt:
            found.append(
                f"{self.corrupt} of {self.seen} frames of {name} are damaged, the first is frame {self.first_corrupt}: "
                "copy it again, or leave them out"
            )
        if self.interlaced > self.seen / 2:
            found.append(
                f"{name} is interlaced: each frame holds two half pictures of different times, which no method separates; "
                "deinterlace it first"
            )
        if self.varies:
            slowest, fastest = float(1 / max(self.between)), float(1 / min(self.between))
            found.append(
                f"the frame rate of {name} varies ({slowest:.4g} to {fastest:.4g} fps): "
                f"{float(self.fps):.4g} is the average, and frames may have been dropped"
            )
        return tuple(found)
