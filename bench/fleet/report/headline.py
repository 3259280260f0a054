"""What a run says, in a sentence: who boots when, by each strategy."""

from bench.fleet.report.data import by_label, percent
from bench.fleet.report.rollouts import rollout_sentences
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import Story, format_price
from carousel.console.quantities import format_duration_s

__all__ = ["headline"]


def headline(run: FleetRun) -> str:
    """Return the run's sentence: the first strategy whole, and of each other one the best of its variants."""
    firsts = [stories[0] for stories in by_label(run.stories).values()]
    boots = [each for each in firsts if each.counts_from == "power-on"]
    told = rollout_sentences(run)
    if not boots:
        return "; ".join(told)[:1].upper() + "; ".join(told)[1:] + "." if told else "Nothing was done."
    best: dict[str, Story] = {}
    for story in boots:
        kind = story.label.split(",")[0]
        if kind not in best or _booted(story) > _booted(best[kind]):
            best[kind] = story
    first, *others = best.values()
    sentences = [_whole(run, first)]
    sentences += [_part(run, story) for story in others]
    sentences += told
    logins = [each for each in firsts if each.label.startswith("login")]
    if logins:
        sentences.append(_logins(logins) + f" come through within {format_duration_s(run.scenario.horizon_s)}")
    sentence = "; ".join(sentences)
    return sentence[0].upper() + sentence[1:] + "."


def _logins(logins: list[Story]) -> str:
    good, bad = max(logins, key=_booted), min(logins, key=_booted)
    if _booted(good) == _booted(bad):
        return f"of the logins after it {_share(_booted(good))}"
    least, most = (f"{_share(_booted(each))} ({each.label.split(', ', 1)[1]})" for each in (bad, good))
    return f"of the logins after it {least} to {most}"


def _booted(story: Story) -> float:
    times = story.tally.all_boot()
    return times.finished / max(1, times.total)


def _share(share: float) -> str:
    return "all" if share == 1 else "none" if share == 0 else percent(share)


def _whole(run: FleetRun, story: Story) -> str:
    times = story.tally.all_boot()
    name, last_s = story.label.split(",")[0], times.quantile(1.0)
    if not times.unfinished and last_s is not None:
        return f"by {name} all {times.total:,} boxes run within {format_duration_s(last_s)} of power-on"
    share, deepest_s = _deepest(story)
    if deepest_s is None:
        return f"by {name} {_share(_booted(story))} of {times.total:,} boxes run"
    if not times.unfinished:  # how long the others take is refused
        return (
            f"by {name} all {times.total:,} boxes run, {share:.6g} % within {format_duration_s(deepest_s)} of power-on"
        )
    return f"by {name} {share:.6g} % of {times.total:,} boxes run within {format_duration_s(deepest_s)} of power-on"


def _deepest(story: Story) -> tuple[float, float | None]:
    times = story.tally.all_boot()
    for share in (0.999999, 0.9999, 0.999, 0.99, 0.9, 0.5):
        found_s = times.quantile(share)
        if found_s is not None:
            return share * 100, found_s
    return 0.0, None


def _part(run: FleetRun, story: Story) -> str:
    name, share = story.label.split(",")[0], _booted(story)
    half_s = story.tally.all_boot().quantile(0.5)
    price = f" for {format_price(story.price)}" if story.price is not None else ""
    if share == 1 and half_s is not None:
        most_s = story.tally.all_boot().quantile(0.99)
        most = f", 99 % within {format_duration_s(most_s)}" if most_s is not None else ""
        return f"by {name} all do{price}, half of them within {format_duration_s(half_s)}{most}"
    return f"by {name} {_share(share)} do within {format_duration_s(run.scenario.horizon_s)}{price}"
