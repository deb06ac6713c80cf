"""Candidates without a network: Unaligned Neighbours, Combine Candidates."""

from comfy_api.latest import io

from ..hdr.sequence import CandidateSet
from ..stages.candidates.combine import combine
from ..stages.clip.normalize import normalize
from ..stages.fusion.sparse_fusion import unaligned
from .compat import known
from .wires import HDR, NORMALIZED, RECONSTRUCT, STAGES, Candidates, Exposures, rgb

SOCKETS = 8  # more candidates need a second node behind the first


class UnalignedNeighbours(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_UnalignedNeighbours",
            display_name="Unaligned Neighbours",
            category=f"{STAGES}/LRHDR",
            description="Neighbouring frames without alignment, as candidates for Sparse Fusion: correct where nothing "
            "moves, and free of warping errors.",
            search_aliases=["LRHDR", "frames as candidates", "static merge", "unwarped frames"],
            inputs=[Exposures.Input("exposures", tooltip=NORMALIZED)],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate per neighbour: scene-linear radiance, with validity 0 as it is not aligned. "
                    "Computed on access, so it takes no memory.",
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
        tooltip=f"Candidates from any node, or an IMAGE with the HDR frames of any method as a candidate. {HDR}",
    )


class CombineCandidates(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_CombineCandidates",
            display_name="Combine Candidates",
            category=RECONSTRUCT,
            description="Combines candidates of several nodes and HDR results of several methods into one set, for Weighted "
            "Merge or Sparse Fusion.",
            search_aliases=["mix methods", "join candidates", "ensemble", "batch candidates", "hdr to candidates"],
            inputs=[
                *(_socket(number) for number in range(1, SOCKETS + 1)),
                io.String.Input(
                    "names",
                    default="",
                    optional=True,
                    tooltip="Names of the connected IMAGEs in the vote map, in the order of the inputs, separated by commas: "
                    "F2HDR, classical. Those without a name are image 1, image 2 …",
                ),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="All candidates in the order of the inputs. Names that occur twice are numbered.",
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
