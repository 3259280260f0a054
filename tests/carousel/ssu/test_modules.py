import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.release.blocks import ObjectGeometry
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.ssu.modules import MAX_MODULE_BLOCKS, SsuModules, group_id_of, route_of


def modules_of(size: int, symbol_size: int, largest_block: int, repair: float) -> SsuModules:
    symbols = -(-size // symbol_size)
    blocks = -(-symbols // largest_block)
    image = ObjectGeometry(size, symbol_size, blocks, math.ceil(-(-symbols // blocks) * repair))
    return SsuModules(ReleaseLayout.of_image(image))


GEOMETRIES = st.builds(
    modules_of,
    st.integers(1, 3_000_000),
    st.sampled_from([256, 1256, 3832]),
    st.integers(1, 2048),
    st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(deadline=None)
@given(GEOMETRIES)
def test_every_symbol_has_one_place_and_is_found_there(modules):
    if modules.problem() is not None:
        with pytest.raises(OperatorError, match="pack it with"):
            modules.require()
        return
    taken = set()
    for level, geometry in enumerate(modules.layout.objects):
        sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
        for part in (esi < geometry.block_sizes[sbn], esi >= geometry.block_sizes[sbn]):
            module, block, blocks = modules.place(level, sbn[part], esi[part])
            assert (block < blocks).all()
            assert (blocks <= MAX_MODULE_BLOCKS).all()
            is_main = level == 0 and part is not None and len(esi[part]) and esi[part][0] < geometry.block_sizes[0]
            table = modules.main_table if is_main else modules.sidecar_table
            assert (table[module, 0] == level).all()
            assert (table[module, 1] == sbn[part]).all()
            assert (table[module, 2] + block == esi[part]).all()
            assert (table[module, 3] == blocks).all()
            places = set(zip([bool(is_main)] * len(module), module.tolist(), block.tolist(), strict=True))
            assert len(places) == len(module)
            assert not places & taken
            taken |= places
    assert len(taken) == modules.layout.rows


@settings(deadline=None)
@given(GEOMETRIES)
def test_the_main_modules_together_are_the_image(modules):
    assume(modules.problem() is None)
    image = modules.layout.objects[0]
    assert modules.module_sizes.sum() == image.transfer_length
    sbn, count = modules.main_table[: len(modules.main), [1, 3]].T
    assert (modules.module_sizes[:-1] == count[:-1] * image.symbol_size).all()
    assert (np.bincount(sbn, weights=count) == image.block_sizes).all()
    assert (np.diff(sbn) >= 0).all(), "a module behind another holds what comes behind in the image"


@pytest.mark.parametrize(
    ("size", "symbol_size", "largest_block", "repair", "reason"),
    [
        (3_000_000, 4072, 256, 1.0, "a section has room for 4066"),
        (40_000_000, 1256, 2048, 2.0, "it would need .* modules, and a carousel has 256 at most"),
        (75_000_000, 1256, 240, 1.0, "a carousel has 256 at most"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(size, symbol_size, largest_block, repair, reason):
    with pytest.raises(OperatorError, match=reason):
        modules_of(size, symbol_size, largest_block, repair).require()


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=50))
def test_group_ids_are_what_readers_expect(raw):
    header = ReleaseId.of(raw)
    main, sidecar = group_id_of(header), group_id_of(header, is_sidecar=True, update=1)
    for group_id in (main, sidecar):
        assert group_id >> 30 == 0b10, "bit 31 is set, bit 30 is not (TR 101 202 4.7.9)"
        assert group_id >> 1 & 0x7FFF != 0, "id 0 is the DSI's"
        assert group_id & 0xFF != 0xFF, "moduleIds from 0xFFF0 on are reserved"
    assert (main & 1, sidecar & 1) == (0, 1)
    routes = route_of(np.array([main, main | 1, sidecar]))
    assert routes[0] == routes[1] != routes[2]
