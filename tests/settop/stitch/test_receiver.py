"""Which releases get a place, which lose it, and what is installed: by headers and proven symbols alone."""

from dataclasses import dataclass

import numpy as np
import pytest

from bench.virtual.memory import landings_in_memory
from carousel.fec import codec
from carousel.release.identity import Hardware, Version
from carousel.take import Piece, Target, Targets, taker
from settop.events import Collect, GivenUp, ImageFound, ImageRefused
from settop.stitch.jobs import LeaveOutJob, run_job
from settop.stitch.receiver import MAX_CANDIDATES, MAX_REFUSED, MAX_WAITING, PROBATION_S, STALE_S, Receiver
from settop.stitch.seam import Heard, Symbols
from tests.settop.stitch.air import Air

SIZE = 20_000


@pytest.fixture
def releases(make_release):
    """Give releases by their minor version."""
    return lambda minor, **fields: make_release(SIZE + minor, symbol_size=512, version=f"1.{minor}.0", **fields)


@dataclass
class Box:
    """A receiver and a driver that does at once what it wants."""

    receiver: Receiver
    room: int = 99

    def announce(self, release, now=0.0):
        return self.perform(self.receiver.announce(release.header, now), now)

    def perform(self, effects, now=0.0):
        """Follow instructions; return all effects in the order in which they came up."""
        done, to_do = [], list(effects)
        while to_do:
            effect = to_do.pop(0)
            done.append(effect)
            if isinstance(effect, Collect) and self.room > 0:
                self.room -= 1
                landings = landings_in_memory(effect.layout)
                to_do += self.receiver.collect(effect.header, landings, resumed=False, now=now)
            elif isinstance(effect, Collect):
                to_do += self.receiver.decline(effect.header, "no room")
            elif isinstance(effect, GivenUp):
                self.room += 1
        return done

    @property
    def versions(self):
        return sorted(each.header.version.minor for each in self.receiver.candidates.values())

    def prove(self, release, whole=False):
        """Let a candidate's digests come, or all of it."""
        air = Air(release)
        air.assembly = self.receiver.assembly(release.header.release_id)
        air.landings[:] = air.assembly.landings
        air.retarget()
        air.hear_digests(block_digests_only=not whole)
        if whole:
            air.hear_block(0)
            air.work()


@pytest.fixture
def box(profile):
    return Box(Receiver(profile, True, 0.0))


def of(effects, kind):
    return [effect for effect in effects if isinstance(effect, kind)]


def test_an_acceptable_release_is_collected_once(box, releases):
    release = releases(1)
    found = of(box.announce(release), ImageFound)
    header = release.header
    assert found == [ImageFound(header.name, Version(1, 1, 0), header.image_size, header.release_id, False, 0.0)]
    assert box.announce(release) == []


def test_what_is_not_for_this_box_is_refused_once(box, releases):
    foreign = releases(1, hardware=Hardware(0x00A1B2, 8))
    (refused,) = box.announce(foreign)
    assert (refused.version, refused.name) == (foreign.header.version, foreign.header.name)
    assert "hardware" in refused.reason
    assert box.announce(foreign) == []
    assert box.receiver.is_refusing


def test_what_the_box_has_is_up_to_date_unless_something_better_comes(profile, releases):
    old, new = releases(1), releases(2)
    held = ((old.header.image_sha256[:8], old.header.version),)
    box = Box(Receiver(profile.but(held=held), True, 0.0))
    assert box.announce(old) == []
    assert box.receiver.up_to_date == old.header
    box.announce(new)
    assert box.versions == [2]
    assert box.receiver.up_to_date is None


def test_a_newcomer_no_better_than_the_worst_is_not_let_in(box, releases):
    for minor in (5, 6, 7):
        box.announce(releases(minor))
    assert of(box.announce(releases(4)), GivenUp) == []
    assert box.versions == [5, 6, 7]


def test_a_newcomer_as_good_as_the_worst_is_not_let_in_either(box, make_release):
    """Many releases of one version: else they would push each other out for ever."""
    same = [make_release(SIZE + number, symbol_size=512, version="1.5.0") for number in range(MAX_CANDIDATES + 1)]
    for release in same[:-1]:
        box.announce(release)
    before = dict(box.receiver.candidates)
    assert box.announce(same[-1]) == []
    assert box.receiver.candidates == before


def test_it_is_told_when_a_release_was_found(profile, releases):
    box = Box(Receiver(profile, True, 3.0))
    (found,) = of(box.announce(releases(1), now=4.25006), ImageFound)
    assert found.elapsed_s == 1.2501


def test_what_is_withdrawn_is_given_up_whether_it_is_collected_or_waits(box, releases):
    for minor in range(MAX_CANDIDATES + 1, 0, -1):
        box.announce(releases(minor))
    waiting, collected = releases(1).header.release_id, releases(2).header.release_id
    for release in (waiting, collected):
        assert box.receiver.withdraw(release) == [GivenUp(release)]
        assert box.receiver.withdraw(release) == []
    assert of(box.announce(releases(2)), ImageFound), "it may be announced anew"


def test_symbols_of_a_release_that_is_not_collected_are_nothing(box, releases):
    assert not box.receiver.take(Symbols(releases(1).header.release_id, 0, np.array([0]), ()))


def test_many_that_wait_are_forgotten_by_what_is_heard_of_them(box, releases):
    for minor in range(1, MAX_CANDIDATES + MAX_WAITING + 1):
        box.announce(releases(minor))
    assert box.versions == [MAX_WAITING + 1, MAX_WAITING + 2, MAX_WAITING + 3]
    effects = box.announce(releases(30))
    assert GivenUp(releases(1).header.release_id) in effects, "the lowest version of those of which nothing is heard"


def test_a_better_newcomer_takes_the_place_of_the_worst(box, releases):
    for minor in (1, 2, 3):
        box.announce(releases(minor))
    effects = box.announce(releases(9))
    assert [effect.release for effect in of(effects, GivenUp)] == [releases(1).header.release_id]
    assert box.versions == [2, 3, 9]
    for _ in range(20):
        for minor in (1, 2, 3):
            assert box.announce(releases(minor)) == [], "replayed headers do not evict each other"
    assert box.versions == [2, 3, 9]


def test_what_has_proven_something_keeps_its_place(box, releases):
    """Genuine newer headers, replayed: they stand back behind what symbols come of."""
    for minor in (1, 2, 3):
        box.announce(releases(minor))
    box.prove(releases(1))
    box.announce(releases(8))
    box.announce(releases(9))
    box.announce(releases(7))
    assert box.versions == [1, 8, 9]


def test_a_candidate_of_which_nothing_comes_gives_its_place_to_one_that_is_heard(box, releases):
    for minor in (7, 8, 9, 5):
        box.announce(releases(minor), 20.0)
    heard = {releases(5).header.release_id: Heard(21.0, received=100), releases(8).header.release_id: Heard(21.0, 900)}

    def hearing(release):
        return heard.get(release, Heard(float("-inf")))

    assert box.perform(box.receiver.look_around(hearing, 20.3)) == [], "not at once"
    assert box.perform(box.receiver.look_around(lambda release: Heard(21.0, 9), 21.0)) == [], "all are heard as much"
    box.perform(box.receiver.look_around(hearing, 20.0 + PROBATION_S))
    assert box.versions == [5, 8, 9]
    box.perform(box.receiver.look_around(hearing, 21.2))
    assert box.versions == [5, 8, 9], "who waits unheard stays where it is"


def test_what_waits_is_bounded_and_who_is_forgotten_may_be_announced_anew(box, releases):
    forgotten = []
    for minor in range(100, 60, -1):
        forgotten += of(box.announce(releases(minor)), GivenUp)
    assert len(box.receiver.candidates) == MAX_CANDIDATES
    assert len(forgotten) == 40 - MAX_CANDIDATES - MAX_WAITING
    assert forgotten[-1].release == releases(61).header.release_id


def test_no_room_refuses_that_release_alone(box, releases):
    box.announce(releases(5))
    box.prove(releases(5))
    box.room = 0
    effects = box.announce(releases(6))
    assert [effect.reason for effect in of(effects, ImageRefused)] == ["no room"]
    assert box.versions == [5]
    assert not box.receiver.is_refusing


def test_the_worst_release_makes_room_for_a_better_one(box, releases):
    box.announce(releases(5))
    box.announce(releases(4))
    box.room = 0
    effects = box.announce(releases(6))
    assert [effect.release for effect in of(effects, GivenUp)] == [releases(4).header.release_id]
    assert box.versions == [5, 6]
    assert of(box.announce(releases(3)), ImageRefused)
    assert box.versions == [5, 6]


def test_a_release_whose_memory_fails_is_refused_alone(box, releases):
    box.announce(releases(5))
    box.announce(releases(6))
    effects = box.perform(box.receiver.lose(releases(6).header.release_id, "its disk fails"))
    header = releases(6).header
    assert effects == [ImageRefused(header.version, header.name, "its disk fails"), GivenUp(header.release_id)]
    assert box.versions == [5]
    assert box.announce(releases(6)) == []


def test_the_newest_verified_release_is_chosen(box, releases):
    for minor in (5, 6):
        box.announce(releases(minor))
        box.prove(releases(minor), whole=True)
    assert box.receiver.choose(1.0).header.version.minor == 6


def test_a_newer_release_that_never_completes_delays_a_good_one_by_two_at_most(box, releases):
    box.announce(releases(5))
    box.announce(releases(6))
    box.prove(releases(5), whole=True)
    assert box.receiver.choose(4.0) is not None, "nothing of the newer one is proven"
    box.prove(releases(6))
    now = 4.0
    while box.receiver.choose(now) is None:
        now += 0.1
        heard = Heard(now)
        box.receiver.look_around(lambda release, heard=heard: heard, now)
    assert now <= 8.2
    assert box.receiver.choose(now).header.version.minor == 5


def test_a_newer_release_of_which_nothing_is_proven_delays_nothing_though_it_is_heard(box, releases):
    box.announce(releases(5))
    box.announce(releases(6))
    box.prove(releases(5), whole=True)
    box.receiver.look_around(lambda release: Heard(1.0, 500), 1.0)
    assert box.receiver.choose(1.0).header.version.minor == 5
    box.prove(releases(6))
    assert box.receiver.choose(1.0) is None
    box.receiver.look_around(lambda release: Heard(1.0, 500), 1.5)
    assert box.receiver.choose(1.9) is None, "once it is patient, it is for as long again"
    assert box.receiver.choose(2.0).header.version.minor == 5


def test_a_newer_release_that_is_off_the_air_delays_nothing_any_more(box, releases):
    for minor in (5, 6):
        box.announce(releases(minor))
    box.prove(releases(5), whole=True)
    box.prove(releases(6))
    box.receiver.look_around(lambda release: Heard(10.0, 500), 10.0)
    assert box.receiver.choose(10.0) is None
    assert box.receiver.choose(10.0 + STALE_S - 0.1) is None
    assert box.receiver.choose(10.0 + STALE_S).header.version.minor == 5


def test_a_newer_release_gets_as_long_again_as_listening_has_lasted(profile, releases):
    box = Box(Receiver(profile, True, 6.0))
    for minor in (5, 6):
        box.announce(releases(minor), 6.0)
    box.prove(releases(5), whole=True)
    box.prove(releases(6))
    box.receiver.look_around(lambda release: Heard(13.9, 500), 10.0)
    assert box.receiver.choose(10.0) is None
    assert box.receiver.choose(13.9) is None
    assert box.receiver.choose(14.0).header.version.minor == 5


def test_an_older_release_that_proves_itself_delays_nothing(box, releases):
    for minor in (5, 6):
        box.announce(releases(minor))
    box.prove(releases(6), whole=True)
    box.prove(releases(5))
    box.receiver.look_around(lambda release: Heard(1.0, 500), 1.0)
    assert box.receiver.choose(1.0).header.version.minor == 6


def test_the_first_release_for_which_there_is_no_room_is_refused(box, releases):
    box.room = 0
    assert [effect.reason for effect in of(box.announce(releases(5)), ImageRefused)] == ["no room"]
    assert box.receiver.is_refusing


def test_no_room_for_one_as_good_as_another_refuses_the_newcomer(box, make_release):
    first, second = (make_release(SIZE + number, symbol_size=512, version="1.5.0") for number in range(2))
    box.announce(first)
    box.room = 0
    assert of(box.announce(second), GivenUp) == []
    assert list(box.receiver.candidates) == [first.header.release_id]


def test_symbols_reach_their_own_candidate_and_it_is_said_when_some_were_forged(box, releases):
    for minor in (5, 6):
        box.announce(releases(minor))
    air = Air(releases(5))
    assembly = box.receiver.assembly(releases(5).header.release_id)
    top = air.layout.top
    for packet, is_forged in ((air.forged(top, 0, 0), True), (air.packet(top, 0, 0), False)):
        taken = taker().take(
            Targets([Target(air._prefixes[top], assembly.landings[top])]), packet, [Piece(0, 540, 540)]
        )
        assert len(taken.rows[0]) == 1
        assert box.receiver.take(Symbols(releases(5).header.release_id, top, taken.rows[0], ())) == is_forged
    assert assembly.proven_symbols == 1
    assert box.receiver.assembly(releases(6).header.release_id).proven_symbols == 0


def test_at_the_deadline_the_best_verified_release_is_had(box, releases):
    box.announce(releases(5))
    box.announce(releases(6))
    assert box.receiver.at_deadline() is None
    box.prove(releases(5), whole=True)
    box.prove(releases(6))
    assert box.receiver.at_deadline().header.version.minor == 5


def test_results_for_a_release_that_was_given_up_are_of_no_use(box, releases):
    box.announce(releases(1))
    assembly = box.receiver.assembly(releases(1).header.release_id)
    air = Air(releases(1))
    air.assembly, air.landings[:] = assembly, assembly.landings
    air.retarget()
    air.hear_digests(block_digests_only=True)
    air.hear_block(0)
    job = box.receiver.next_job()
    box.perform(box.receiver.lose(releases(1).header.release_id, "gone"))
    assert box.receiver.finish_job(run_job(job, codec())) == []


def whole_on_air(box, release):
    """All of a release has landed in its candidate; nothing is worked on yet."""
    air = Air(release)
    air.assembly = box.receiver.assembly(release.header.release_id)
    air.landings[:] = air.assembly.landings
    air.retarget()
    air.hear_digests(block_digests_only=True)
    air.hear_block(0)
    return air


def test_jobs_go_to_the_best_candidate_first_and_their_results_come_back_to_it(box, releases):
    for minor in (4, 6, 5):
        box.announce(releases(minor))
    for minor in (4, 5):
        whole_on_air(box, releases(minor))
    jobs = [box.receiver.next_job() for _ in range(3)]
    assert [job.release for job in jobs[:2]] == [releases(minor).header.release_id for minor in (5, 4)]
    assert jobs[2] is None
    assert box.receiver.at_deadline() is None
    (done,) = box.receiver.finish_job(run_job(jobs[1], codec()))
    assert (done.release, done.sbn) == (releases(4).header.release_id, 0)
    assert box.receiver.at_deadline().header.version.minor == 4
    box.receiver.finish_job(run_job(jobs[0], codec()))
    assert box.receiver.at_deadline().header.version.minor == 5
    assert box.receiver.most_complete.is_verified


@pytest.mark.parametrize("can_decode", [True, False])
def test_who_cannot_decode_leaves_nothing_out_but_waits_for_proof(profile, releases, can_decode):
    box = Box(Receiver(profile, can_decode, 0.0))
    box.announce(releases(1))
    air = Air(releases(1))
    air.assembly = box.receiver.assembly(releases(1).header.release_id)
    air.landings[:] = air.assembly.landings
    air.retarget()
    air.hear_digests(block_digests_only=True)
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear([air.forged(0, 0, size - 1)])  # whose digest is not among those that have come
    air.hear_block(0)
    box.receiver.finish_job(run_job(box.receiver.next_job(), codec()))
    box.receiver.finish_job(run_job(box.receiver.next_job(), codec()))  # sorts what can be judged
    air.hear_block(0, range(size, size + 4))
    job = box.receiver.next_job()
    assert isinstance(job, LeaveOutJob) if can_decode else job is None


def test_results_of_an_earlier_collection_of_the_same_release_are_of_no_use(box, releases):
    box.announce(releases(1))
    whole_on_air(box, releases(1))
    late = run_job(box.receiver.next_job(), codec())
    box.perform(box.receiver.withdraw(releases(1).header.release_id))
    assert of(box.announce(releases(1)), ImageFound)
    assert box.receiver.finish_job(late) == []
    assert not box.receiver.assembly(releases(1).header.release_id).is_verified


def test_what_an_earlier_run_left_is_worked_on_at_once(box, releases):
    before = Air(releases(1))
    before.hear_digests()
    before.hear_block(0)
    effects = box.receiver.announce(releases(1).header, 1.0)
    assert [type(effect) for effect in effects] == [Collect]
    (found,) = box.receiver.collect(releases(1).header, before.landings, True, 2.0)
    assert found.resumed
    job = box.receiver.next_job()
    assert box.receiver.finish_job(run_job(job, codec())) != []
    assert box.receiver.choose(2.0).header == releases(1).header


def test_refusals_are_remembered_so_many_of_them(box, releases):
    foreign = [releases(minor, hardware=Hardware(0x00A1B2, 8)) for minor in range(MAX_REFUSED + 2)]
    for release in foreign:
        assert len(of(box.announce(release), ImageRefused)) == 1
    told_again = [bool(box.announce(release)) for release in foreign]
    assert told_again == [False] * MAX_REFUSED + [True] * 2


def test_what_it_would_take_is_what_is_acceptable_and_was_not_refused(box, releases):
    good, foreign, lost = releases(1), releases(2, hardware=Hardware(0x00A1B2, 8)), releases(3)
    assert box.receiver.would_take(good.header)
    assert not box.receiver.would_take(foreign.header)
    box.announce(good)
    box.announce(lost)
    assert box.receiver.would_take(good.header), "collected already or not"
    box.perform(box.receiver.lose(lost.header.release_id, "its disk fails"))
    assert not box.receiver.would_take(lost.header)


def test_of_those_that_wait_the_most_heard_gets_the_place_unless_it_is_off_the_air(box, releases):
    for minor in (7, 8, 9):
        box.announce(releases(minor))
    for minor in (4, 5, 6):
        box.announce(releases(minor))
    received = {releases(minor).header.release_id: count for minor, count in ((4, 10), (5, 30), (6, 20))}

    def hearing(release, last_s=10.0):
        return Heard(last_s, received.get(release, 0))

    assert box.perform(box.receiver.look_around(lambda release: hearing(release, 7.9), 10.0)) == [], "too long ago"
    box.perform(box.receiver.look_around(lambda release: hearing(release, 8.0), 10.0))
    assert box.versions == [5, 8, 9]
    box.perform(box.receiver.look_around(hearing, 10.1))
    assert box.versions == [5, 6, 9], "the least heard one, and of equals the lowest version"


def test_one_that_waits_takes_a_free_place(box, releases):
    for minor in (6, 7, 8, 9):
        box.announce(releases(minor))
    assert box.versions == [7, 8, 9]
    box.perform(box.receiver.withdraw(releases(9).header.release_id))
    box.perform(box.receiver.look_around(lambda release: Heard(5.0, 0), 5.0))
    assert box.versions == [6, 7, 8]
    assert [header.version.minor for header in box.receiver.headers] == [7, 8, 6]
    assert box.receiver.look_around(lambda release: Heard(5.0, 0), 5.0) == []


def test_a_box_is_sated_when_all_it_collects_is_there(box, releases):
    assert not box.receiver.is_sated
    for minor in (1, 2):
        box.announce(releases(minor))
    whole_on_air(box, releases(1))
    assert not box.receiver.is_sated
    whole_on_air(box, releases(2))
    assert box.receiver.is_sated


def test_the_most_complete_is_the_one_with_the_largest_share(box, releases):
    assert box.receiver.most_complete is None
    for minor in (1, 2):
        box.announce(releases(minor))
    air = Air(releases(1))
    air.assembly = box.receiver.assembly(releases(1).header.release_id)
    air.landings[:] = air.assembly.landings
    air.retarget()
    air.hear_block(0, range(3))
    assert box.receiver.most_complete is air.assembly


def test_a_header_of_which_no_memory_is_got_any_more_is_given_up(box, releases):
    release = releases(1)
    assert box.receiver.collect(release.header, [], False, 0.0) == [GivenUp(release.header.release_id)]
    assert box.receiver.lose(release.header.release_id, "x") == []
    assert of(box.receiver.decline(release.header, "no room"), ImageRefused)
