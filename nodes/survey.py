"""Save Survey."""

import folder_paths
from comfy_api.latest import io

from ..hdr.survey import write_survey
from ..stages.output.versions import new_file
from ..stages.survey import describe_survey, take_survey
from .compat import known, progress_bar
from .ports import prefix_input
from .wires import SAVE, Exposures


class SaveSurvey(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SaveSurvey",
            display_name="Save Survey",
            category=SAVE,
            description="Writes what is estimated once per clip (exposures, white and black level, noise, alignment) to a small "
            "file, so that parts of the clip, rendered on other days or machines, agree with the whole.",
            search_aliases=["split clip", "render farm", "frame range", "chunks", "analyse clip"],
            is_output_node=True,
            inputs=[
                Exposures.Input(
                    "exposures",
                    tooltip="The whole clip, from its loader, Detect Exposure Pattern or Global Alignment, which is stored with "
                    "it; not from Exposure Normalization.",
                ),
                prefix_input("HDRWeave/survey", "HDRWeave/survey_v001.json", "survey_v002.json"),
            ],
            outputs=[
                io.String.Output(
                    "path", display_name="path", tooltip="Path of the file, for the loader's input survey."
                ),
                io.String.Output("summary", display_name="summary", tooltip="The estimates of the survey, as text."),
            ],
        )

    @classmethod
    def execute(cls, exposures, prefix) -> io.NodeOutput:
        survey = take_survey(exposures, progress_bar())
        with new_file(folder_paths.get_output_directory(), prefix, ".json") as (temporary, path):
            write_survey(temporary, survey)
        summary = describe_survey(survey)
        return io.NodeOutput(str(path), summary, ui={"text": (f"{path.name}\n{summary}",)})
