"""What was counted is known after a restart; what could not be heard meanwhile is not held against a release."""

from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind, box_key
from headend.registry.samplebook import SampleBook
from headend.rollout.samples import Samples
from headend.rollout.stages import Counts

SECRET, RELEASE, UNIX_S = bytes(range(32)), ReleaseId(b"r" * 16), 1_750_000_000.0
WITHIN = {RELEASE: 300.0}


def told(kind, box, release=RELEASE):
    return Report.parse(Report(kind, release, box).build(box_key(SECRET, box)))


def opened(tmp_path, unix_s=UNIX_S):
    book = SampleBook(tmp_path / "samples.sqlite", lambda: unix_s)
    return book, Samples(SECRET, book)


def count(tmp_path):
    """A box that confirmed, and one that was on trial when the service fell silent."""
    book, samples = opened(tmp_path)
    for kind, box in (("STARTING", "a"), ("CONFIRMED", "a"), ("STARTING", "b")):
        assert samples.take(told(ReportKind[kind], box), 0.0)
    book.flush()
    book.close()


def test_a_short_silence_leaves_every_trial_its_time(tmp_path):
    count(tmp_path)
    book, samples = opened(tmp_path, UNIX_S + 8)
    assert book.restore(samples, WITHIN, 1000.0, UNIX_S) == 0
    assert samples.counts(RELEASE, 300, 1000.0) == Counts(1, 0)
    assert samples.counts(RELEASE, 300, 1291.0) == Counts(1, 0)
    assert samples.counts(RELEASE, 300, 1292.0) == Counts(1, 1), "its time goes on"
    assert not samples.take(told(ReportKind.STARTING, "a"), 1000.0), "each box counts once"


def test_who_may_have_confirmed_to_nobody_counts_for_nothing(tmp_path):
    count(tmp_path)
    book, samples = opened(tmp_path, UNIX_S + 3600)
    assert book.restore(samples, WITHIN, 1000.0, UNIX_S + 200) == 1
    assert samples.counts(RELEASE, 300, 9000.0) == Counts(1, 0)
    book.flush()
    again, samples = opened(tmp_path, UNIX_S + 3600)
    assert again.restore(samples, WITHIN, 1000.0, UNIX_S + 3600) == 0


def test_what_had_failed_before_the_silence_has_failed(tmp_path):
    count(tmp_path)
    book, samples = opened(tmp_path, UNIX_S + 3600)
    assert book.restore(samples, WITHIN, 1000.0, UNIX_S + 301) == 0
    assert samples.counts(RELEASE, 300, 1000.0) == Counts(1, 1)


def test_a_release_that_is_counted_anew_or_has_no_rule_is_forgotten(tmp_path):
    count(tmp_path)
    book, samples = opened(tmp_path)
    assert book.restore(samples, {}, 0.0, UNIX_S) == 0
    book.flush()
    assert samples.started(RELEASE) == 0
    samples.take(told(ReportKind.STARTING, "c"), 0.0)
    samples.forget(RELEASE)
    samples.take(told(ReportKind.STARTING, "d"), 0.0)
    book.flush()
    again, samples = opened(tmp_path)
    again.restore(samples, WITHIN, 0.0, UNIX_S)
    assert samples.started(RELEASE) == 1


def test_a_clock_that_was_set_back_makes_no_trial_older(tmp_path):
    count(tmp_path)
    book, samples = opened(tmp_path, UNIX_S - 1e6)
    book.restore(samples, WITHIN, 1000.0, UNIX_S - 1e6)
    assert samples.counts(RELEASE, 300, 1299.0) == Counts(1, 0)


def test_a_damaged_book_is_begun_anew(tmp_path):
    (tmp_path / "samples.sqlite").write_bytes(b"no book" * 1000)
    book, samples = opened(tmp_path)
    assert book.was_damaged
    samples.take(told(ReportKind.STARTING, "a"), 0.0)
    book.flush()
    assert not opened(tmp_path)[0].was_damaged
