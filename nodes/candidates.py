"""Candidates that no network makes: Unaligned Neighbours, and Combine Candidates."""

from comfy_api.latest import io

from ..hdr.sequence import CandidateSet
from ..stages.candidates.combine import combine
from ..stages.clip.normalize import normalize
from ..stages.fusion.sparse_fusion import unaligned
from .compat import known
from .wires import CATEGORY, HDR, NORMALIZED, Candidates, Exposures, rgb

SOCKETS = 8  # a second node makes it fifteen: what comes out of one goes into the other


class UnalignedNeighbours(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_UnalignedNeighbours",
            display_name="Unaligned Neighbours",
            category=CATEGORY,
            description="The neighbouring frames just as they are, as candidates for a vote: right wherever nothing moves, "
            "and never warped wrongly.",
            search_aliases=["LRHDR", "frames as candidates", "static merge", "unwarped frames"],
            inputs=[Exposures.Input("exposures", tooltip=NORMALIZED)],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate a neighbour: its scene-linear radiance, of no validity, as nothing aligned it. "
                    "Computed when it is read, so it takes no memory.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures) -> io.NodeOutput:
        return io.NodeOutput(unaligned(normalize(exposures)))


def _socket(number: int):
    return io.MultiType.Input(
        f"candidates_{number}",
        types=[Candidates, io.Image],
        optional=number > 1,
        tooltip=f"Candidates from any node, or the HDR frames of any method as one more of them: an IMAGE. {HDR}",
    )


class CombineCandidates(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_CombineCandidates",
            display_name="Combine Candidates",
            category=CATEGORY,
            description="Candidates of several nodes, and HDR results of several methods, as one set to merge or to vote "
            "on.",
            search_aliases=["mix methods", "join candidates", "ensemble", "batch candidates", "hdr to candidates"],
            inputs=[
                *(_socket(number) for number in range(1, SOCKETS + 1)),
                io.String.Input(
                    "names",
                    default="",
                    optional=True,
                    tooltip="What wired IMAGEs are called in the vote map, from the top, with commas between: F2HDR, "
                    "classical. Those without a name are image 1, image 2 …",
                ),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="All of them, in the order of the inputs. Names that occur twice are numbered.",
                )
            ],
        )

    @classmethod
    def execute(cls, candidates_1, names="", **more) -> io.NodeOutput:
        wired = {"candidates_1": candidates_1, **more}
        ports = [name for number in range(1, SOCKETS + 1) if wired.get(name := f"candidates_{number}") is not None]
        sources = [wired[p] if isinstance(wired[p], CandidateSet) else rgb(wired[p], p) for p in ports]
        names = names.rstrip(", ")
        return io.NodeOutput(combine(sources, [name.strip() for name in names.split(",")] if names else []))
