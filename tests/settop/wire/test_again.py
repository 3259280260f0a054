from settop.wire.again import Lots


def test_every_order_is_one_of_all_and_another_than_the_last():
    lots = Lots(7)
    orders = [lots.order(20).tolist() for _ in range(50)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(set(map(tuple, orders))) == 50
    assert Lots(7).order(20).tolist() == orders[0], "one seed, one run"
    assert Lots(8).order(20).tolist() != orders[0]
    assert len(lots.order(0)) == 0


def test_each_of_two_comes_first_about_as_often():
    lots = Lots(3)
    firsts = sum(int(lots.order(2)[0]) for _ in range(1000))
    assert 400 < firsts < 600
