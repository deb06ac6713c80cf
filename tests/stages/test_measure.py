import math

import pytest
import torch
from hdrweave.hdr.metrics import MAX_PSNR
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.hdr.tonemap import mu_law_inverse
from hdrweave.stages.report.measure import error_picture, fit_gain, measure, measure_text

SHAPE = (6, 32, 40, 3)


@pytest.fixture
def reference():
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


def clip(reference):
    exposures = torch.tensor([1.0, 4.0]).repeat(3)
    frames = (reference * exposures[:, None, None, None]).clamp(0, 1).pow(1 / 2.2)
    return ExposureSequence(frames, exposures, response_named("gamma2.2"), 2)


def test_psnr_of_a_known_error(reference):
    result = measure(reference + 0.01, reference)
    assert result.raw["psnr_linear"] == pytest.approx(40, abs=1e-3)
    tones = torch.rand(SHAPE) * 0.5 + 0.2
    result = measure(mu_law_inverse(tones + 0.02), mu_law_inverse(tones))
    assert result.raw["psnr_mu"] == pytest.approx(-20 * math.log10(0.02), abs=1e-2)


def test_one_gain_per_clip(reference):
    hdr = reference / 3
    assert fit_gain(hdr, reference) == pytest.approx(3, rel=1e-6)
    assert measure(hdr, reference).raw["psnr_linear"] < 20
    fitted = measure(hdr, reference, scale="fit one gain per clip")
    assert fitted.raw["psnr_linear"] == MAX_PSNR and "multiplied by 3 (+1.58 EV)" in measure_text(fitted)


def test_fitting_a_gain_is_in_the_progress(reference):
    steps = []
    given = dict(scale="fit one gain per clip", progress=lambda done, total: steps.append(done / total))
    measure(reference / 3, reference, **given)
    assert len(steps) > len(reference) and steps == sorted(set(steps)) and steps[-1] == 1


def test_highlights_do_not_decide_the_gain(reference):
    hdr, bright = reference / 2, reference.clone()
    bright[:, :4], hdr[:, :4] = 50.0, 1.0
    assert fit_gain(hdr, bright) == pytest.approx(2, rel=1e-6)
    with pytest.raises(ValueError, match="no gain can be fitted"):
        fit_gain(torch.zeros(SHAPE), reference)


def test_rows_by_exposure_and_composite(reference):
    hdr = reference + 0.001
    hdr[1::2] = reference[1::2] + 0.1  # wrong in the longer exposure, where it clips and where it does not
    result = measure(hdr, reference, clip(reference))
    assert list(result.by_exposure) == [1.0, 4.0]
    assert result.by_exposure[4.0]["psnr_linear"] == pytest.approx(20, abs=1e-3)
    assert result.composited["psnr_linear"] > result.raw["psnr_linear"]
    words = measure_text(result)
    assert "captured at exposure x4: PSNR mu-law" in words and "Composite" in words


def test_worst_frame_is_found_and_shown(reference):
    hdr = reference.clone()
    hdr[4, 8:16] *= 2
    result = measure(hdr, reference)
    assert result.psnr.argmin() == 4 and "Worst frame: 4" in measure_text(result)
    picture = error_picture(hdr, reference, result, width=960)
    tile = (960 - 16) // 3
    top = 27 + round(tile * 32 / 40)
    error = picture[0, 27:top, 2 * tile + 16 :].mean(-1)
    rows = error.mean(1)
    assert picture.shape[2] == 960 and rows[len(rows) * 12 // 32] > 10 * rows[len(rows) * 24 // 32]


def test_equal_sequences(reference):
    result = measure(reference, reference)
    assert result.raw["psnr_mu"] == MAX_PSNR and result.raw["ssim_uniform7_mu"] == pytest.approx(1)
    assert not {"nan", "inf"} & set(measure_text(result).replace(",", " ").split())
    assert error_picture(reference, reference, result).isfinite().all()


def test_wrong_inputs_are_named(reference):
    with pytest.raises(ValueError, match="6 frames of 40x32, the reference 5 frames of 40x32"):
        measure(reference, reference[:5])
    with pytest.raises(ValueError, match="the exposures have 6 frames of 20x32"):
        measure(reference, reference, clip(reference[:, :, :20]))
    with pytest.raises(ValueError, match="choose one of as is, fit one gain per clip"):
        measure(reference, reference, scale="auto")
    broken = reference.clone()
    broken[3, 0, 0] = math.nan
    with pytest.raises(ValueError, match="frame 3 of the HDR has 3 NaN"):
        measure(broken, reference)
    with pytest.raises(ValueError, match="frames 0 to 5"):
        error_picture(reference, reference, measure(reference, reference), 6)
