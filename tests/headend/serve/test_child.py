"""The process of a carousel obeys the newest order, whatever comes in whatever pieces."""

import os

import msgspec
import pytest

from headend.casting import Clocks
from headend.registry.model import Airing, CarouselRecord
from headend.serve.child import Inbox, OrderedShelf, attend
from headend.serve.orders import Order, OrderFolder, Title


def order_of(*paths, **said):
    fields = {"name": "lab", "group": "239.255.77.1:5077", "interface": "lo", "rate_bps": 8e6} | said
    titles = tuple(Title(Airing(path.name.rjust(32, "0")), str(path)) for path in paths)
    airings = tuple(title.airing for title in titles)
    return Order(CarouselRecord(**fields, airings=airings), titles, "/nowhere")


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield Inbox(read), write
    os.close(read)


def send(write, *orders):
    os.write(write, b"".join(msgspec.json.encode(order) + b"\n" for order in orders))


def test_the_newest_order_counts(pipe, tmp_path):
    inbox, write = pipe
    assert not inbox.look(0)
    send(write, order_of(tmp_path / "a"), order_of(tmp_path / "b", rate_bps=9e6))
    assert inbox.look(0)
    assert inbox.newest == order_of(tmp_path / "b", rate_bps=9e6)
    os.close(write)
    assert inbox.look(0)
    assert inbox.is_closed


def test_an_order_in_pieces_counts_when_it_is_whole(pipe, tmp_path):
    inbox, write = pipe
    raw = msgspec.json.encode(order_of(tmp_path / "a")) + b"\n"
    for byte in raw[:-1]:
        os.write(write, bytes([byte]))
        assert not inbox.look(0)
    os.write(write, raw[-1:])
    assert inbox.look(0)
    assert inbox.newest == order_of(tmp_path / "a")
    os.close(write)


@pytest.mark.parametrize(
    ("said", "fits"),
    [({}, True), ({"rate_bps": 9e6}, False), ({"is_paused": True}, False), ({"group": "239.255.77.2:5077"}, False)],
)
def test_what_can_be_done_while_it_turns(tmp_path, said, fits):
    one = order_of(tmp_path / "a")
    assert one.fits(order_of(tmp_path / "b", tmp_path / "c", **said)) is fits
    assert not one.fits(order_of())


def test_a_shelf_keeps_what_stays(make_release, release_file):
    first = release_file(make_release(50_000, symbol_size=512), "a")
    second = release_file(make_release(60_000, symbol_size=512), "b")
    shelf = OrderedShelf(order_of(first), Clocks(lambda: 5.0, lambda: 1e9, lambda _: None))
    (one,) = shelf.load()
    assert not shelf.has_changed()
    shelf.order = order_of(second, first)
    assert shelf.has_changed()
    _, again = shelf.load()
    assert again is one
    assert len(shelf.demands()) == 2
    shelf.order = order_of(second)
    assert len(shelf.load()) == 1
    shelf.close_replaced()
    shelf.close()


def test_without_anything_to_send_it_waits_for_the_end(pipe, tmp_path):
    inbox, write = pipe
    send(write, order_of())
    os.close(write)
    told = []
    attend(inbox, Clocks(lambda: 0.0, lambda: 0.0, lambda _: None), lambda event, **fields: told.append(event))
    assert told == ["stopped"]


def test_an_interface_that_is_not_there_is_told(pipe, make_release, release_file, tmp_path):
    inbox, write = pipe
    path = release_file(make_release(50_000, symbol_size=512), "a")
    wanted = order_of(path, interface="nosuch0")
    send(write, msgspec.structs.replace(wanted, place_file=str(tmp_path / "place")))
    assert inbox.look(0)
    told = []

    def tell(event, **fields):
        told.append((event, fields))
        if event == "trouble":
            os.close(write)

    attend(inbox, Clocks(lambda: 0.0, lambda: 0.0, lambda _: None), tell)
    assert told[0][0] == "trouble"
    assert "no interface 'nosuch0'" in told[0][1]["reason"]


def test_last_orders_are_kept_and_damaged_ones_passed_over(tmp_path):
    folder = OrderFolder(tmp_path / "orders")
    one, two = order_of(tmp_path / "a"), order_of(tmp_path / "b", name="two")
    folder.keep(one)
    folder.keep(two)
    (tmp_path / "orders" / "bad.json").write_text("{")
    assert folder.load() == [one, two]
    folder.forget("lab")
    folder.forget("never")
    assert folder.load() == [two]
