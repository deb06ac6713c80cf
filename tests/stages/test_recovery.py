import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import Candidate, CandidateSet, ExposureSequence
from hdrweave.stages.report.recovery import KINDS, OUTCOMES, recovery
from hdrweave.stages.report.recovery_view import recovery_picture, recovery_text

COUNT, H, W = 8, 32, 48
CLIPPED, NOISY = range(len(KINDS))
FILLED, CONFIRMED, UNSUPPORTED, LEFT = range(len(OUTCOMES))


@pytest.fixture
def scene():
    """A still scene of known radiance: the left third clips in long frames, the right third is noise in short ones."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.full((COUNT, H, W, 3), 0.05)
    truth[:, :, : W // 3] = 0.5
    truth[:, :, -W // 3 :] = 5e-4
    exposures = torch.tensor([1.0, 8.0]).repeat(COUNT // 2)
    noise = 2e-4 * torch.randn(truth.shape, generator=generator)
    frames = (truth * exposures[:, None, None, None] + noise).clamp(0, 1).pow(1 / 2.2)
    sequence = ExposureSequence((frames * 255).round() / 255, exposures, response_named("gamma2.2"), 2)
    return sequence, truth


def neighbours(sequence, validity=1.0):
    order = [sequence.neighbour(t, 1) for t in range(len(sequence))]
    valid = torch.full((COUNT, H, W, 1), validity)
    return CandidateSet((Candidate("next", sequence.radiance(order), valid, sequence.exposures[order]),))


def fates(result, kind):
    """Share of the pixels of a kind by fate, over the frames where there are any."""
    shares = result.shares[:, kind].sum(0)
    return shares / shares.sum()


def test_what_is_in_question_is_known(scene):
    sequence, truth = scene
    result = recovery(sequence, truth)
    assert result.shares[1::2, CLIPPED].sum(1).tolist() == pytest.approx([1 / 3] * 4)
    assert result.shares[0::2, NOISY].sum(1).tolist() == pytest.approx([1 / 3] * 4, abs=0.01)
    assert result.shares[0::2, CLIPPED].sum() == 0 and result.shares[1::2, NOISY].sum() == 0


def test_the_truth_is_filled_and_supported(scene):
    sequence, truth = scene
    result = recovery(sequence, truth, neighbours(sequence))
    assert fates(result, CLIPPED)[FILLED] > 0.99 and fates(result, NOISY)[FILLED] > 0.95
    assert result.filled[1, :, : W // 3].mean() > 0.99 and result.filled[1, :, W // 3 :].sum() == 0
    assert result.filled[0, :, -W // 3 :].mean() > 0.95


def test_the_reference_alone_scores_nothing(scene):
    sequence, _ = scene
    result = recovery(sequence, sequence.radiance(range(COUNT)), neighbours(sequence))
    assert result.filled.sum() == 0
    assert fates(result, CLIPPED)[LEFT] == 1 and fates(result, NOISY)[LEFT] > 0.9
    assert result.seen[1].tolist() == pytest.approx([1 / 3, 0.0])


@pytest.mark.parametrize("invented", [0.16, 5.0])
def test_invented_highlights_are_unsupported(scene, invented):
    sequence, truth = scene
    hdr = torch.where(
        truth == 0.5, torch.tensor(invented), truth
    )  # 0.16: above the clipping level, far below the truth
    result = recovery(sequence, hdr, neighbours(sequence))
    assert fates(result, CLIPPED)[UNSUPPORTED] > 0.9 and result.filled[1::2].sum() == 0


def test_even_the_truth_is_unsupported_where_no_measurement_is_valid(scene):
    sequence, truth = scene
    result = recovery(sequence, truth, neighbours(sequence, validity=0.2))
    assert fates(result, CLIPPED)[UNSUPPORTED] == 1 and result.seen.sum() == 0


def test_a_candidate_below_the_clipping_level_is_no_measurement(scene):
    sequence, truth = scene
    (candidate,) = neighbours(sequence)
    ghost = CandidateSet((Candidate("ghost", candidate.radiance * 0.2, candidate.validity, candidate.exposures),))
    result = recovery(sequence, sequence.radiance(range(COUNT)), ghost)
    assert result.seen[1::2, CLIPPED].sum() == 0


def test_reference_that_was_right_is_confirmed(scene):
    sequence, truth = scene
    level = torch.where(truth == 0.5, torch.tensor(1 / 8), truth)  # the highlights lie just at the clipping level
    frames = (level * sequence.exposures[:, None, None, None]).clamp(0, 1).pow(1 / 2.2)
    sequence = sequence.with_(frames=frames)
    result = recovery(sequence, level, neighbours(sequence))
    assert fates(result, CLIPPED)[CONFIRMED] > 0.95


def test_report_names_the_figures(scene):
    sequence, truth = scene
    words = recovery_text(recovery(sequence, truth, neighbours(sequence)))
    assert "exposure x8: 4 frames, 33.33 % of the pixels; another exposure saw 100.0 % of them. Filled 100.0 %" in words
    assert "exposure x1: 4 frames, none." in words and "WARNING" not in words and "flicker: 0.00 %" in words


def test_report_without_candidates_claims_no_measurement(scene):
    sequence, truth = scene
    words = recovery_text(recovery(sequence, truth))
    assert "were changed" in words and "Filled" not in words and "No candidates are connected" in words


def test_wrong_scale_is_noticed(scene):
    sequence, truth = scene
    result = recovery(sequence, truth * 8)
    assert result.gain == pytest.approx(8, rel=0.02) and "WARNING" in recovery_text(result)


def test_flicker_locked_to_the_exposures_is_found(scene):
    sequence, truth = scene
    breathing = truth * torch.tensor([1.0, 1.3]).repeat(COUNT // 2)[:, None, None, None]
    assert recovery(sequence, breathing).flicker > 0.01 > recovery(sequence, truth).flicker


def test_picture_shows_fates_in_their_colours(scene):
    sequence, truth = scene
    candidates = neighbours(sequence)
    picture = recovery_picture(sequence, truth, candidates, recovery(sequence, truth, candidates), 1)[0]
    assert picture.shape[1] == 1280 and picture.min() >= 0 and picture.max() <= 1
    r, g, b = picture[400, 200].tolist()  # a filled highlight: amber
    assert r > g > b and picture[400, 640].std() < 0.01


def test_picture_of_a_portrait_clip_is_no_taller_than_a_screen(scene):
    sequence = scene[0].with_(frames=torch.rand(COUNT, 96, 32, 3))
    truth = torch.rand(COUNT, 96, 32, 3)
    assert recovery_picture(sequence, truth, None, recovery(sequence, truth)).shape[1] < 1300


def test_wrong_inputs_are_named(scene):
    sequence, truth = scene
    with pytest.raises(ValueError, match="7 frames of 48x32.*8 frames of 48x32"):
        recovery(sequence, truth[:7])
    blind = CandidateSet((Candidate("fused", truth, torch.ones(COUNT, H, W, 1)),))
    with pytest.raises(ValueError, match="none of the candidates knows"):
        recovery(sequence, truth, blind)
    with pytest.raises(ValueError, match="frames 0 to 7"):
        recovery_picture(sequence, truth, None, recovery(sequence, truth), 8)
