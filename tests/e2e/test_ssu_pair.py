"""A head-end and a box across a fake link that drops datagrams, in virtual time, by a transport stream."""

import numpy as np
import pytest

from bench.fleet.model.chains import LossChain
from bench.fleet.model.law import law_of
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink
from carousel.batch import Batch
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from carousel.ssu.dsmcc import ddb
from carousel.ssu.modules import group_id_of
from carousel.ssu.transport import DATAGRAM_BYTES, ContinuityCounters, cut_section, pids_of
from headend.pack.ssuplan import SsuProfile
from settop.stitch.policy import BoxProfile
from settop.wire.ssu import SsuWire
from tests.conftest import KEY, noise
from tests.headend.cast.ssustreams import Stream, packets_in

HARDWARE = Hardware(0x00A1B2, 7, 3)
PROFILE = BoxProfile(HARDWARE, TrustRing.of([KEY.public_key()]))


def new_box(is_rtp: bool = False) -> InlineBox:
    return InlineBox(PROFILE, 0, wire=SsuWire(PROFILE.trust, frozenset([HARDWARE.oui]), is_rtp))


def seconds_to_verify(
    stream: Stream, box: InlineBox, link: FaultyLink, start_s: float, limit_s: float = 60.0
) -> float | None:
    """Tune in after `start_s`; return how long it takes until the image is verified, or None."""
    stream.seconds(start_s)
    box.tune_in(stream.now)
    while stream.now < start_s + limit_s:
        stream.now = max(stream.now, stream.broadcaster.due(stream.now))
        batch = stream.broadcaster.next_batch(stream.now)
        for arrived in link.carry(batch):
            box.receive(arrived, stream.now)
        chosen = box.receiver.choose(stream.now)
        if chosen is not None:
            assert box.image(chosen) == noise(chosen.header.image_size)
            return stream.now - start_s
    return None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("is_rtp", [False, True])
def test_any_start_any_fault_gives_the_image(make_release, seed, is_rtp):
    print(f"seed {seed}")
    release = make_release(900_001, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    rng = np.random.default_rng([seed, 16])
    link = FaultyLink(rng, loss=0.2, duplicate=0.05, reorder=0.3, corrupt=0.02)
    stream = Stream.of(release, rate_bps=20e6, seed=seed, is_rtp=is_rtp)
    assert seconds_to_verify(stream, new_box(is_rtp), link, float(rng.random())) is not None


def computed_s(release: Release, stream: Stream, loss: float) -> float:
    """What the simulator's law of one block says of the image's mean time, with what else this stream carries."""
    image = release.layout.objects[0]
    spec = ReleaseSpec("a", image.largest_block * 1256, 1.0, 1256)
    table = law_of(Carousel(50e6), (spec,), "a", LossChain(0.0, 1.0, 0.0, 1 - loss)).block_table(image.largest_block)
    late = np.concatenate([np.ones(image.largest_block), table[image.largest_block :]])
    mean_rows = (1 - (1 - late) ** image.blocks).sum() * image.source_symbols / image.largest_block
    datagrams_a_row = len(stream.sent) / release.image_packets
    return mean_rows * datagrams_a_row * DATAGRAM_BYTES * 8 / stream.format.rate_bps


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "most"), [(0.0, 1.09), (0.2, 1.45)])
def test_an_image_takes_little_more_than_its_bytes(make_release, loss, most):
    """At 20 % datagram loss within 1.45 times its bytes over the stream's rate, from any start."""
    size, rate_bps = 4_000_000, 40e6
    release = make_release(size, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    expected_s = computed_s(release, Stream.of(release, rate_bps=rate_bps).cycles(1), loss)
    times_s = []
    for seed in range(4):
        rng = np.random.default_rng([seed, int(loss * 100)])
        stream = Stream.of(release, rate_bps=rate_bps, seed=seed)
        link = FaultyLink(rng, loss=loss)
        times_s.append(seconds_to_verify(stream, new_box(), link, float(rng.random() * 3)))
    mean_s = float(np.mean(times_s))
    of_bits, of_computed = mean_s * rate_bps / (size * 8), mean_s / expected_s
    print(f"loss {loss}: {of_bits:.3f} times the image's bits, {of_computed:.3f} times what is computed")
    assert of_bits <= most
    assert of_computed <= 1.03


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_without_the_sidecar_repetition_does(make_release, loss):
    """The header comes with the DSI, no digests: the image is proven whole."""
    release = make_release(900_001, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    assert seconds_to_verify(Stream.of(release, rate_bps=20e6), new_box(), WithoutSidecar(loss), 0.3) is not None


class WithoutSidecar(FaultyLink):
    """A remultiplexer that drops the sidecar's PID, and a lossy link behind it."""

    def __init__(self, loss: float) -> None:
        super().__init__(np.random.default_rng(3), loss=loss)

    def carry(self, batch: Batch) -> list[Batch]:
        packets = packets_in(bytes(batch.buffer[: batch.stride * batch.count]))
        left = packets[~np.isin(pids_of(packets), [0x102, 0x1FFF])].reshape(-1)
        if not len(left):
            return []
        stride = 188
        return super().carry(Batch(left.data, stride, len(left) // stride)) if self.loss == 0 else self._lossy(left)

    def _lossy(self, left: np.ndarray) -> list[Batch]:
        count = len(left) // 1316
        rows = [left[at * 1316 : (at + 1) * 1316] for at in range(count)] + [left[count * 1316 :]]
        kept = [row for row in rows if len(row) and self.rng.random() >= self.loss]
        return [Batch(row.copy().data, len(row), 1) for row in kept]


def test_a_forged_block_without_the_sidecar_costs_a_cycle(make_release):
    """No digest tells which block is wrong: the whole image does not match, and is collected afresh."""
    release = make_release(300_001, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE, repair_ratio=0.0)
    stream, box, link = Stream.of(release, rate_bps=20e6), new_box(), WithoutSidecar(0.0)
    group = group_id_of(release.header.release_id)
    forged = cut_section(ddb(group, (group & 0xFF) << 8, 0, 17, 240, b"\xee" * 1256), 0x101).copy()
    ContinuityCounters().stamp(forged)
    stream.seconds(0.01)
    box.tune_in(stream.now)
    for _, datagram in stream.sent:
        for arrived in link.carry(Batch(memoryview(datagram), len(datagram), 1)):
            box.receive(arrived, stream.now)
    box.receive(Batch(forged.reshape(-1).data, 188, 7), stream.now)
    cycle_s = stream.format.cycle_s(release)
    took_s = seconds_to_verify(stream, box, link, 0.01, limit_s=5.0)
    assert took_s is not None
    assert 1.5 * cycle_s < took_s < 3.5 * cycle_s
