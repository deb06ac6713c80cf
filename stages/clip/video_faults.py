"""What is wrong with a video that decodes nevertheless: frames that are missing, damaged or interlaced, a rate that varies."""

from fractions import Fraction

from ...hdr.io.video_files import VideoInfo

TOLERANCE = 0.02  # of a length that the container only estimates
VARIES = 1.5  # ratio of the longest and the shortest time between two frames, above which the rate varies


class VideoFaults:
    """Sees the decoded frames of a video in turn. ended: whether those were all that the file gives."""

    def __init__(self, info: VideoInfo):
        self.info, self.ended = info, False
        self.seen = self.corrupt = self.interlaced = 0
        self.first_corrupt = 0
        self.last: Fraction | None = None
        self.shortest, self.longest = float("inf"), 0.0

    def see(self, frame) -> None:
        if getattr(frame, "is_corrupt", False):
            self.first_corrupt = self.first_corrupt if self.corrupt else self.seen
            self.corrupt += 1
        self.interlaced += bool(getattr(frame, "interlaced_frame", False))
        if frame.pts is not None and frame.time_base:
            time = frame.pts * frame.time_base
            if self.last is not None and time > self.last:
                self.shortest = min(self.shortest, float(time - self.last))
                self.longest = max(self.longest, float(time - self.last))
            self.last = time
        self.seen += 1

    def warnings(self, name: str) -> tuple[str, ...]:
        found = []
        announced = self.info.frames
        least = announced if self.info.exact else announced * (1 - TOLERANCE) - 1
        if self.ended and self.seen < least:
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
        if self.longest > VARIES * self.shortest and self.seen > 2:
            found.append(
                f"the frame rate of {name} varies ({1 / self.longest:.4g} to {1 / self.shortest:.4g} fps): "
                f"{float(self.info.fps):.4g} is the average, and frames may have been dropped"
            )
        return tuple(found)
