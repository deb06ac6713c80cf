"""EIC, the representation mapper and ACCR: formulas, exact starts, any number of streams."""

import math

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.blocks import GAIN
from hdrweave.models.detail import amplified, bands
from hdrweave.models.lrhdr.accr import ACCR, ACCRConfig, RepresentationMapper, cues
from hdrweave.models.lrhdr.interleaved_context import EIC, ExposureGate, Product
from hdrweave.models.lrhdr.kernels import GAINS, attenuate_detail

SMALL = ACCRConfig(width=8)
EXPOSURES = (8.0, 1.0, 4.0, 16.0, 1.0)


def streams(count=3, h=24, w=32, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    exposures = torch.tensor(EXPOSURES[:count]).expand(batch, count)
    e = exposures[:, :, None, None, None]
    codes = torch.rand(batch, count, 3, h, w, generator=generator)
    return to_radiance(codes, e), exposures, torch.rand(batch, count, 1, h, w, generator=generator)


def shaken(network):
    torch.manual_seed(7)
    for p in network.parameters():
        if p.ndim > 1 and not p.detach().any():
            torch.nn.init.normal_(p, std=0.05)
    return network


def test_gate_is_the_papers():
    gate = ExposureGate()
    assert gate(torch.tensor([1.0, 8.0]))[:, 0, 0, 0].tolist() == pytest.approx([0.5, 8 / 9], abs=1e-6)
    gate.w.data.fill_(-0.5), gate.b.data.fill_(0.3)
    assert gate(torch.tensor([4.0])).item() == pytest.approx(1 / (1 + math.exp(0.5 * math.log(4) - 0.3)))
    assert torch.isfinite(gate(torch.tensor([0.0])))


def test_encoder_adds_the_gated_branch():
    torch.manual_seed(1)
    encoder = EIC(5, 2, 8)
    picture, more = torch.rand(2, 5, 16, 24), torch.rand(2, 2, 8, 12)
    short, long = (encoder(picture, more, torch.full((2,), e)) for e in (1.0, 16.0))
    low = encoder.low(picture)
    assert low.shape == (2, 8, 8, 12)
    torch.testing.assert_close((short - low) / 0.5, (long - low) / (16 / 17), atol=1e-5, rtol=1e-4)
    assert (short - low).abs().mean() > 0.01
    plain = EIC(5, 2, 8, fine=False)
    torch.testing.assert_close(plain(picture, more, torch.ones(2)), plain.low(picture))


def test_product_of_halves():
    torch.manual_seed(1)
    product, x = Product(3, 4, 1), torch.rand(1, 3, 5, 6)
    a, b = product.both(x)[:, :4], product.both(x)[:, 4:]
    torch.testing.assert_close(product(x), a * (1 + b))


def test_mapper_starts_as_identity_and_is_affine_in_each_pixel_and_channel():
    torch.manual_seed(2)
    mapper, cue = RepresentationMapper(8), torch.randn(1, 3, 16, 24)
    features = torch.randn(1, 8, 8, 12)
    assert torch.equal(mapper(features, cue), features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mapper(features, cue), features)
    k, b = torch.randn(1, 8, 8, 12), torch.randn(1, 8, 8, 12)
    mapper.estimate[-1].forward = lambda x: torch.cat((k, b), 1)
    torch.testing.assert_close(mapper(features, cue), (1 + k) * features + b)


def test_mapper_sees_the_signed_cue_and_its_square():
    mapper, seen = RepresentationMapper(8), []
    mapper.estimate[-1].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    features, cue = torch.randn(1, 8, 8, 12), 0.1 * torch.randn(1, 3, 16, 24)
    mapper(features, cue)
    signed_and_square = torch.nn.functional.pixel_unshuffle(torch.cat((amplified(cue), amplified(cue) ** 2), 1), 2)
    torch.testing.assert_close(seen[0], mapper.estimate[0](torch.cat((features, signed_and_square), 1)))


def test_cues_are_differences_to_the_reference():
    radiance, exposures, validity = streams(2)
    own, other = cues(radiance, exposures, validity)
    torch.testing.assert_close(own, other)  # two streams: one cue for both, as published
    torch.testing.assert_close(other, mu_law(radiance[:, 1]) - mu_law(radiance[:, 0]))
    radiance, exposures, validity = streams(4)
    sound = (to_ldr(radiance[:, 1], 1.0).amax(1, keepdim=True) < 0.6).expand(-1, 3, -1, -1)
    off = []
    for others in (0.0, 1.0):  # validity of the third and fourth
        validity[:, 1:] = torch.tensor([1.0, others, others])[:, None, None, None]
        own = cues(radiance, exposures, validity)[0]
        off.append((own - (mu_law(radiance[:, 1]) - mu_law(radiance[:, 0]))).abs()[sound].mean())
    assert off[0] < 0.04 and off[1] > 3 * off[0]
    assert (cues(radiance[:, :1], exposures[:, :1], validity[:, :1])[0] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("h, w", [(8, 8), (17, 31)])
def test_it_starts_as_gamma_of_every_stream(count, h, w):
    given = streams(count, h, w, batch=2)
    mapped = ACCR(SMALL)(*given)
    torch.testing.assert_close(mapped, given[0], atol=1e-6, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        mapped = ACCR(SMALL)(*given)
    assert mapped.dtype == torch.float32
    torch.testing.assert_close(mapped, given[0], atol=1e-6, rtol=1e-5)


def test_one_set_of_weights_maps_each_stream_by_itself_and_the_reference_by_all():
    network = shaken(ACCR(SMALL)).eval()
    radiance, exposures, validity = streams(4)
    mapped = network(radiance, exposures, validity)
    order = [0, 3, 1, 2]
    turned = network(radiance[:, order], exposures[:, order], validity[:, order])
    torch.testing.assert_close(turned, mapped[:, order], atol=1e-5, rtol=1e-4)
    fewer = network(radiance[:, :2], exposures[:, :2], validity[:, :2])
    torch.testing.assert_close(fewer[:, 1], mapped[:, 1], atol=1e-6, rtol=1e-5)
    assert (fewer[:, 0] - mapped[:, 0]).abs().max() > 1e-5


def test_the_decoder_draws_and_softens():
    network = ACCR(SMALL).eval()
    radiance, exposures, validity = streams(1)
    network.decoder[-1].bias.data[: 4 * 3] = 0.5
    drawn = mu_law(network(radiance, exposures, validity)[:, 0])
    torch.testing.assert_close(drawn, (mu_law(radiance[:, 0]) + GAIN / 2).clamp(0, 1), atol=1e-5, rtol=0)
    network.decoder[-1].bias.data[: 4 * 3] = 0
    network.decoder[-1].bias.data[4 * 3 :] = 1
    tone = mu_law(radiance[:, 0])
    torch.testing.assert_close(
        mu_law(network(radiance, exposures, validity)[:, 0]), tone - sum(bands(tone)), atol=1e-5, rtol=0
    )


def test_kernels_leave_a_sixth_of_white_noise_and_ramps_alone():
    torch.manual_seed(0)
    noise = torch.randn(1, 3, 128, 128)
    soft = noise + attenuate_detail(bands(noise), torch.ones(1, GAINS, 128, 128))
    assert soft.std() / noise.std() == pytest.approx(44 / 256, rel=0.05)
    ramp = torch.arange(32.0).expand(1, 3, 16, 32)
    assert attenuate_detail(bands(ramp), torch.ones(1, GAINS, 16, 32))[..., 4:-4].abs().max() < 1e-4
    assert (attenuate_detail(bands(noise), torch.zeros(1, GAINS, 128, 128)) == 0).all()


@pytest.mark.parametrize("changes", [{}, {"fine": False}, {"mapper": False}], ids=["whole", "no HF", "no mapper"])
def test_gradients_reach_every_parameter(changes):
    network = shaken(ACCR(ACCRConfig(width=8, **changes)))
    mapped = network(*streams(3, batch=2))
    assert hasattr(network, "mapper") == changes.get("mapper", True)
    mu_law(mapped).square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_every_precision_stays_close(forward):
    network, given = shaken(ACCR(SMALL)).eval().to(memory_format=torch.channels_last), streams(3)
    with torch.no_grad():
        exact = mu_law(network(*given))
    rough = mu_law(forward(network, *given))
    changed = (exact - mu_law(given[0])).abs().mean()
    assert (rough - exact).abs().mean() < 0.05 * changed
