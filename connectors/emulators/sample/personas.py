"""The kinds of people in a base: who they tend to be, and how they tend to behave."""

from dataclasses import dataclass
from typing import Literal

Profile = Literal["fit", "unfit", "any", "student", "rival"]
Range = tuple[int, int]  # both included


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind. Ranges are counts over a lead's whole life, chances are 0..1."""

    name: str
    share: float  # of the base; what is left over becomes "cold"
    profile: Profile
    quiet_days: tuple[float, float]  # how long ago they last did something by themselves
    older_than_days: float = 0.5  # since when they have been in the base, at least
    opens: Range = (0, 3)
    visits: Range = (1, 3)
    forms: Range = (0, 1)
    asks_for_prices: float = 0.0  # chance that the last form was a serious one
    asks_for_demo: float = 0.0
    replies: Range = (0, 0)
    unanswered: Range = (0, 1)  # e-mails from sales that got no answer
    calls: Range = (0, 0)  # that reached them
    meetings: Range = (0, 0)  # that took place
    missed: float = 0.1  # chance that a call did not reach them; a tenth of it, that they missed a meeting
    need: float = 0.1  # chance that they said which problem they have
    ready: float = 0.05  # chance that they want to start soon
    opted_out: float = 0.0
    lifecycles: tuple[tuple[str, int], ...] = (("lead", 7), ("subscriber", 3))  # stage, weight


COLD = Persona("cold", 0.0, "unfit", (20, 300))
PERSONAS: tuple[Persona, ...] = (
    COLD,
    Persona(  # reads everything, buys nothing: interest without profile
        "fan", 0.055, "unfit", (0.2, 12), older_than_days=40, opens=(12, 45), visits=(8, 40), forms=(2, 5),
        asks_for_prices=0.2, replies=(0, 2), need=0.4,
    ),
    Persona(  # the ideal customer who does not care: profile without interest
        "perfect", 0.21, "fit", (25, 260), unanswered=(0, 5), missed=0.4, need=0.35, ready=0.06,
    ),
    Persona("forgotten", 0.01, "fit", (60, 200), unanswered=(7, 9), need=0.5),
    Persona(
        "warm", 0.105, "fit", (0.4, 8), older_than_days=20, opens=(4, 14), visits=(4, 16), forms=(1, 3),
        asks_for_prices=0.5, replies=(1, 2), unanswered=(0, 2), calls=(0, 1), missed=0.3, need=0.93, ready=0.12,
        lifecycles=(("lead", 1),),
    ),
    Persona(
        "hot", 0.026, "fit", (0.2, 3), older_than_days=25, opens=(5, 20), visits=(8, 30), forms=(2, 4),
        asks_for_prices=0.5, asks_for_demo=0.4, replies=(2, 4), unanswered=(0, 1), calls=(1, 2), meetings=(1, 2),
        missed=0.2, need=1.0, ready=1.0, lifecycles=(("lead", 1),),
    ),
    Persona("student", 0.03, "student", (1, 200), opens=(1, 12), visits=(2, 15), forms=(1, 3)),
    Persona("rival", 0.012, "rival", (0.5, 40), opens=(3, 30), visits=(10, 50), forms=(1, 4), asks_for_prices=0.6),
    Persona(
        "unsubscribed", 0.045, "any", (15, 250), older_than_days=30, opens=(1, 8), visits=(1, 8), forms=(1, 2),
        replies=(0, 1), need=0.3, opted_out=1.0,
    ),
    Persona(
        "customer", 0.055, "fit", (0.5, 60), older_than_days=60, opens=(3, 30), visits=(5, 40), forms=(1, 4),
        replies=(1, 4), calls=(1, 3), meetings=(1, 3), need=0.8, ready=0.3,
        lifecycles=(("customer", 6), ("opportunity", 5), ("evangelist", 1), ("other", 1)),
    ),
)  # fmt: skip
