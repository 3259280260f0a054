import numpy as np
import pytest

from carousel.errors import FormatError
from carousel.release.blocks import ObjectGeometry
from carousel.release.header import ReleaseHeader
from carousel.release.identity import Hardware, Version
from carousel.release.layout import ReleaseLayout, blocks_of_image
from carousel.release.limits import MAX_BLOCK_SYMBOLS, MAX_BLOCKS, TARGET_BLOCK_SYMBOLS


def layout(size=64 << 20, symbol=1440, repair=True):
    symbols = -(-size // symbol)
    blocks = blocks_of_image(symbols)
    largest = -(-symbols // blocks)
    return ReleaseLayout.of_image(ObjectGeometry(size, symbol, blocks, largest if repair else 0))


def test_the_levels_of_64_mib():
    """Design, image.md: level 1 about 1.5 MB, level 2 about 33 KB, level 3 one packet."""
    sizes = [geometry.transfer_length for geometry in layout().objects]
    assert 1.4e6 < sizes[1] < 1.6e6
    assert 30e3 < sizes[2] < 35e3
    assert len(sizes) == 4
    assert layout().objects[3].source_symbols == 1


@pytest.mark.parametrize("size", [1, 255, 256, 257, 10_000, 1_000_000])
@pytest.mark.parametrize("repair", [True, False])
def test_levels_end_in_one_symbol(size, repair):
    made = layout(size, 256, repair)
    assert made.objects[-1].source_symbols == 1
    assert made.top <= 6
    assert made.rows == sum(geometry.rows for geometry in made.objects)


@pytest.mark.parametrize("blocks", [1, 5])
def test_every_symbol_has_its_digest_place(blocks):
    made = ReleaseLayout.of_image(ObjectGeometry(700_000, 256, blocks, 300))
    for level in range(made.top):
        geometry = made.objects[level]
        offsets = made.digest_offsets(level, *geometry.symbols_of(np.arange(geometry.rows)))
        begin = 32 * geometry.blocks if level == 0 else 0
        assert sorted(offsets.tolist()) == list(range(begin, begin + 16 * geometry.rows, 16))
        assert begin + 16 * geometry.rows == made.objects[level + 1].transfer_length


def test_urgent_symbols_prove_the_block_digests():
    for size in (5000, 64 << 20, 1 << 30):
        made = layout(size)
        urgent = made.urgent_symbols()
        needed = -(-32 * made.objects[0].blocks // 1440)
        assert [row for level, row in urgent if level == 1] == list(range(needed))
        assert (made.top, 0) in urgent
        assert len(urgent) < 12


def header(**fields):
    plain = {"hardware": Hardware(1, 1), "security_counter": 0, "version": Version(1, 0, 0), "created_unix_s": 0}
    plain |= {"image_size": 10_000, "symbol_size": 256, "source_blocks": 1, "repair_per_block": 40}
    plain |= {"image_sha256": bytes(32), "top_sha256": bytes(32), "name": ""}
    return ReleaseHeader(**(plain | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol_size": 0},
        {"symbol_size": 248},
        {"symbol_size": 260},
        {"source_blocks": 0},
        {"source_blocks": 256},
        {"image_size": 0},
        {"image_size": 2**60},
        {"image_size": 256 * (MAX_BLOCK_SYMBOLS + 1)},
        {"repair_per_block": 2**31},
        {"source_blocks": 41},
    ],
)
def test_impossible_geometry_is_refused_even_when_signed(fields):
    with pytest.raises(FormatError, match="geometry"):
        ReleaseLayout.of_header(header(**fields))


def test_a_good_header_is_laid_out():
    assert ReleaseLayout.of_header(header()).objects[0].source_symbols == 40


def test_blocks_grow_with_large_images():
    assert blocks_of_image(100) == 1
    assert blocks_of_image(10 * TARGET_BLOCK_SYMBOLS) == 10
    assert blocks_of_image(MAX_BLOCKS * MAX_BLOCK_SYMBOLS) == MAX_BLOCKS
    with pytest.raises(ValueError, match="more than"):
        blocks_of_image(MAX_BLOCKS * MAX_BLOCK_SYMBOLS + 1)


def test_limits_are_what_still_goes():
    for fields in (
        {"symbol_size": 256},
        {"symbol_size": 65_000, "image_size": 65_000 * 3},
        {"repair_per_block": 4 * MAX_BLOCK_SYMBOLS},
        {"source_blocks": 255, "image_size": 256 * 255},
        {"image_size": 256 * MAX_BLOCK_SYMBOLS},
    ):
        assert ReleaseLayout.of_header(header(**fields)).objects[0].repair_per_block >= 40
    for fields in (
        {"symbol_size": 65_008, "image_size": 65_008 * 3},
        {"repair_per_block": 4 * MAX_BLOCK_SYMBOLS + 1},
        {"source_blocks": 256, "image_size": 256 * 256},
    ):
        with pytest.raises(FormatError, match="geometry"):
            ReleaseLayout.of_header(header(**fields))


def test_the_top_and_what_has_no_fec_have_no_repair_symbols():
    with_repair, without = layout(1_000_000, 256), layout(1_000_000, 256, repair=False)
    assert [geometry.repair_per_block > 0 for geometry in with_repair.objects] == [True] * with_repair.top + [False]
    assert all(geometry.repair_per_block == 0 for geometry in without.objects)


@pytest.mark.parametrize(
    ("size", "symbol"),
    [
        *((5000, 256), (700_000, 256), (700_000, 264), (5000, 1440), (3_000_000, 1440), (64 << 20, 1440)),
        *((size, 256) for size in range(28_000, 34_000, 512)),
    ],
)
def test_what_proves_level_1_is_what_covers_its_digests(size, symbol):
    """Worked out anew, symbol by symbol: of each level what holds the digests of what is needed below it."""
    made = layout(size, symbol)

    def proof(rows):
        needed = {1: set(rows)}
        for level in range(2, made.top + 1):
            below = made.objects[level - 1]
            places = below.symbols_of(np.array(sorted(needed[level - 1])))
            begin = made.digest_offsets(level - 1, *places)
            needed[level] = {byte // symbol for each in begin.tolist() for byte in (each, each + 15)}
        return {(level, row) for level, rows in needed.items() for row in rows}

    block_digests = range(-(-32 * made.objects[0].blocks // symbol))
    assert set(made.urgent_symbols()) == proof(block_digests)
    chain = made.chain_symbols()
    whole = proof(range(made.objects[1].source_symbols))
    assert set(chain) == {(level, row) for level, row in whole if level > 1} | set(made.urgent_symbols())
    assert len(set(chain)) == len(chain)
    assert [level for level, _ in chain] == sorted((level for level, _ in chain), reverse=True)
    assert list(made.urgent_symbols()) == sorted(made.urgent_symbols())


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("symbol", [256, 264])
@pytest.mark.parametrize("size", range(20_000, 60_000, 1321))
def test_the_first_symbol_that_a_row_of_level_1_can_judge(size, symbol, blocks):
    made = ReleaseLayout.of_image(ObjectGeometry(size, symbol, blocks, 100))
    image, level_1 = made.objects[0], made.objects[1]
    places = image.symbols_of(np.arange(image.rows))
    offsets = made.digest_offsets(0, *places)
    begins = np.maximum(np.arange(level_1.source_symbols) * symbol, 32 * image.blocks)
    order = np.argsort(offsets)
    expected = order[np.searchsorted(offsets[order], begins, side="right") - 1]
    sbn, esi = made.first_digested(np.arange(level_1.source_symbols))
    assert np.issubdtype(esi.dtype, np.integer)
    assert sbn.tolist() == places[0][expected].tolist()
    assert esi.tolist() == places[1][expected].tolist()
