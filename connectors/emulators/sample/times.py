"""When things happen: campaigns, growth, weekdays, office hours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

CAMPAIGNS_DAYS_AGO = (338, 291, 240, 196, 150, 101, 66, 38, 17)
CAMPAIGN_SHARE = 0.4  # of the leads that come through a campaign
FRESHEST = timedelta(minutes=45)  # nothing in the base is younger
_YEAR_DAYS = 360.0
_FRIDAY = 4


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of somebody's life, with the distance of their wall clock from UTC."""

    first: datetime
    last: datetime
    utc_offset: timedelta

    def clipped(self, moment: datetime) -> datetime:
        """The moment in whole seconds, moved to the nearest end of the span when it lies outside."""
        return min(max(moment, self.first), self.last).replace(microsecond=0)


def arrival(rng: Random, now: datetime, older_than_days: float) -> datetime:
    """When a lead came in: in the wake of a campaign, or on any day, later ones more often."""
    if rng.random() < CAMPAIGN_SHARE:
        age_days = rng.choice(CAMPAIGNS_DAYS_AGO) - rng.expovariate(1 / 2.5)
    else:
        age_days = _YEAR_DAYS * (1 - rng.random() ** 0.5)
    if age_days < older_than_days:
        age_days = rng.uniform(older_than_days, _YEAR_DAYS)
    moment = now - timedelta(days=age_days)
    if moment.weekday() > _FRIDAY and rng.random() < 0.75:
        moment -= timedelta(days=moment.weekday() - _FRIDAY)
    return min(moment.replace(microsecond=0), now - FRESHEST)


def in_the_office(rng: Random, span: Span, moment: datetime) -> datetime:
    """About that moment, on a weekday between eight and seven where the lead lives."""
    local = moment + span.utc_offset
    if local.weekday() > _FRIDAY:
        local -= timedelta(days=local.weekday() - _FRIDAY)
    local = local.replace(hour=rng.choice((8, 9, 9, 10, 10, 11, 12, 13, 15, 16, 16, 17, 18)), minute=rng.randrange(60))
    return span.clipped(local - span.utc_offset)


def fading_back(rng: Random, span: Span, count: int, mean_days: float) -> Iterator[datetime]:
    """So many moments before the span's end, denser the nearer to it; the last one is the end itself."""
    moment = span.last
    for _ in range(count):
        yield span.clipped(moment)
        moment -= timedelta(days=rng.expovariate(1 / mean_days))
