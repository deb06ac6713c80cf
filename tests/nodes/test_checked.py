"""Values that a schema does not allow are refused before any work, as the engine calls the nodes; messages can be sent."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
import asyncio
from hdrweave.nodes.extension import HDRWeaveExtension
from hdrweave.nodes import load
from hdrweave.stages.clip.captured import image_clip
from hdrweave.stages.clip.load import expose
from hdrweave.stages.flow.estimate import estimate_flow

comfy.cli_args.args.disable_metadata = True

nodes = {n.define_schema().node_id: n for n in asyncio.run(HDRWeaveExtension().get_node_list())}
folder_paths.set_output_directory(str(folder / "output"))
folder_paths.set_temp_directory(str(folder / "temp"))


def told(name, **inputs):
    try:
        nodes["HDRWeave_" + name].execute(**inputs)
    except Exception as error:
        message = str(error)
        message.encode("utf-8")
        return type(error).__name__ + ": " + message
    return "done"


images = torch.rand(4, 16, 16, 3)
clip = expose(image_clip(images), "-3,0")
motion = estimate_flow(clip)
given = dict(path="", pattern="-3,0", response="gamma2.2", lut="", start=0, count=0, fps=0.0, images=images)
saved = dict(
    hdr=images, prefix="a", format="exr half", compression="ZIP", scale="research", start=1, padding=4, fps=0.0,
)
video = dict(
    prefix="v", format="HEVC 10 bit (mp4)", transfer="PQ", reference_white=203.0, peak=1000.0, exposure=0.0, crf=20,
    scale="research", fps=0.0, timecode="",
)
toned = dict(image=images, direction="HDR to display", mu=5000.0, peak=1.0)
words = dict(
    good=told("LoadAlternatingExposures", **given),
    saved=told("SaveHDRSequence", **saved),
    toned=told("MuLawTonemap", **toned),
    response=told("LoadAlternatingExposures", **{**given, "response": "gama"}),
    surrogate=told("LoadAlternatingExposures", **{**given, "response": "\\ud800"}),
    path=told("LoadAlternatingExposures", **{**given, "images": None, "path": str(folder) + "/\\udcff.mp4"}),
    fps=told("LoadAlternatingExposures", **{**given, "fps": math.nan}),
    start=told("LoadAlternatingExposures", **{**given, "start": -1}),
    pattern=told("LoadAlternatingExposures", **{**given, "pattern": "9" * 30000}),
    format=told("SaveHDRSequence", **{**saved, "format": "png"}),
    prefix=told("SaveHDRSequence", **{**saved, "prefix": "a\\0b"}),
    direction=told("MuLawTonemap", **{**toned, "direction": "to hdr"}),
    mu=told("MuLawTonemap", **{**toned, "mu": math.nan}),
    method=told("Flow", exposures=clip, method="medum"),
    darks=told("ExposureNormalization", exposures=clip, darks="matsh"),
    system=told("AdaptToFootage", exposures=clip, flow=motion, system="x", minutes=1.0),
    start_half=told("LoadAlternatingExposures", **{**given, "start": 1.5}),
    holes=told("LoadAlternatingExposures", **{**given, "holes": "yes"}),
    prefix_surrogate=told("SaveHDRSequence", **{**saved, "prefix": "\\ud800"}),
    weights=told("CoarseFusion", exposures=clip, flow=motion, weights=7),
    no_exposures=told("Flow", exposures=None, method="medium"),
    text_exposures=told("ExposureCheck", exposures="\\ud800"),
    no_images=told("SaveHDRSequence", **{**saved, "hdr": [1, 2]}),
    no_mask=told("SaveHDRSequence", **{**saved, "motion_mask": "m"}),
    sparse=told("SaveHDRSequence", **{**saved, "hdr": images.to_sparse()}),
    codes=told("SaveHDRSequence", **{**saved, "hdr": (255 * images).byte()}),
    with_gradient=told("MuLawTonemap", **{**toned, "image": images.clone().requires_grad_()}),
    mask_of_another_shape=told("HDRViewer", hdr=images, start=0, frames=4, mask=images[:, None, ..., 0]),
    mask_of_codes=told("HDRViewer", hdr=images, start=0, frames=4, mask=(255 * images[..., 0]).byte()),
    mask_with_gradient=told("HDRViewer", hdr=images, start=0, frames=4, mask=images[..., 0].clone().requires_grad_()),
    one_mask=told("HDRViewer", hdr=images[:1], start=0, frames=4, mask=images[0, ..., 0]),
    null=told("LoadAlternatingExposures", **{**given, "survey": None}),
    sound=told("SaveHDRVideo", hdr=images, audio={}, **video),
    sound_shape=told("SaveHDRVideo", hdr=images, audio=dict(waveform=torch.rand(4), sample_rate="x"), **video),
    no_candidates=told("CombineCandidates", candidates_1=3),
    minutes=told("AdaptToFootage", exposures=clip, flow=motion, system="DeAltHDR", minutes=math.inf),
)
torch.set_default_dtype(torch.float64)
with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
    words["settings_of_another_pack"] = told("CoarseFusion", exposures=clip, flow=motion, weights="packaged")
torch.set_default_dtype(torch.float32)
validated = nodes["HDRWeave_LoadAlternatingExposures"].validate_inputs(pattern="1," * 15000)
own = folder / "own.safetensors"
folder_paths.add_model_folder_path("hdrweave", str(folder))
weights_marks = [nodes["HDRWeave_CoarseFusion"].fingerprint_inputs(weights="packaged")]
for content in (b"1", b"22"):
    own.write_bytes(content)
    weights_marks += [nodes["HDRWeave_" + n].fingerprint_inputs(weights=own.name) for n in ("CoarseFusion", "SparseFusion")]
unused = nodes["HDRWeave_LoadAlternatingExposures"].execute(**given | {"lut": "curve.cube"})[1]
marks = load.LoadAlternatingExposures.fingerprint_inputs(path="a\\0b", lut="\\udcff.cube")
marks.encode("utf-8")
print(json.dumps(dict(words=words, validated=validated, weights_marks=weights_marks, unused=unused)))
"""


@pytest.mark.engine
def test_every_value_is_checked_before_work(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    words = found["words"]
    good = ("good", "saved", "toned", "with_gradient", "mask_with_gradient", "one_mask", "settings_of_another_pack")
    assert [words.pop(name) for name in good] == ["done"] * len(good)
    assert all(word.startswith(("ValueError", "FileNotFoundError")) and len(word) < 700 for word in words.values()), (
        words
    )
    for name in ("response", "format", "direction", "method", "darks", "system"):
        assert f"{name} is '" in words[name] and "choose one of" in words[name], words[name]
    for name in ("fps", "start", "mu", "minutes"):
        assert f"{name} is " in words[name] and "give a number" in words[name], words[name]
    for name in ("no_exposures", "text_exposures", "no_images", "no_mask", "sparse", "no_candidates"):
        assert "connect an output of the type" in words[name], words[name]
    assert "give a whole number" in words["start_half"] and "give true or false" in words["holes"]
    assert all("floats are expected" in words[name] for name in ("codes", "mask_of_codes"))
    assert "(frames, height, width) are expected" in words["mask_of_another_shape"]
    assert "survey is None: a text is expected" in words["null"]
    assert all("the audio is no sound" in words[name] for name in ("sound", "sound_shape"))
    assert "weights is 7: a text is expected" in words["weights"]
    assert "without NUL" in words["prefix"] and "30000 characters" in words["pattern"]
    packaged, *own = found["weights_marks"]
    assert packaged == "" and own[0] == own[1] != own[2] == own[3]  # the file was overwritten in between
    assert "lut is not used, as response is gamma2.2: choose LUT file to read it" in found["unused"]
    assert "does not exist" in words["path"] and "30000 characters" in found["validated"]
