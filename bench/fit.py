"""How a cost grows with n: the law that fits the measured points best, and how far they leave O(log n)."""

import math
from dataclasses import dataclass

from harness import Rounds, Table, Target
from report import ratio, us

OURS, PLAIN = "raceguard", "without"  # the variants of a curve
NOTE = ("The lines without a name are the same without the guard. Growth: the law that fits best, of a guard's line "
        "without what the line below it grows by. Beyond log n: the last figure against what the others foretell of it "
        "where growth is a + b log n.")

# In this order: where two fit about as well, the slower growth is believed.
LAWS = {
    "log n": math.log,
    "sqrt n": math.sqrt,
    "n": lambda n: n,
    "n log n": lambda n: n * math.log(n),
    "n^2": lambda n: n * n,
}
CONSTANT = 1.25  # the largest value at most so many times the smallest: no growth to speak of
BETTER = 1.5  # a law that grows faster has to fit so many times better


def line(ns, values, law):
    """(a, b) of value = a + b * law(n), neither below 0, with the least sum of squared relative errors."""
    gs = [law(n) for n in ns]
    weights = [1 / v ** 2 for v in values]

    def mean(xs):
        return sum(w * x for w, x in zip(weights, xs)) / sum(weights)

    g, v = mean(gs), mean(values)
    spread = mean([(x - g) ** 2 for x in gs])
    b = mean([(x - g) * (y - v) for x, y in zip(gs, values)]) / spread
    if b <= 0:
        return v, 0.0
    if v - b * g < 0:
        return 0.0, mean([x * y for x, y in zip(gs, values)]) / mean([x * x for x in gs])
    return v - b * g, b


def error(ns, values, law):
    """Root mean square of the relative errors of the best a + b * law(n)."""
    a, b = line(ns, values, law)
    return math.sqrt(sum(((a + b * law(n)) / v - 1) ** 2 for n, v in zip(ns, values)) / len(ns))


def from_lowest(values):
    """The values with those before the smallest put down to it: a fixed cost that more rows share is no growth."""
    at = values.index(min(values))
    return [values[at]] * at + values[at:]


def growth(ns, values):
    """The name of the law: `constant`, or one of LAWS."""
    values = from_lowest(values)
    if max(values) <= CONSTANT * min(values):
        return "constant"
    best = None
    for name, law in LAWS.items():
        wrong = error(ns, values, law)
        if best is None or wrong * BETTER < best[1]:
            best = name, wrong
    return best[0]


def beyond_log(ns, values):
    """The last value against what the others foretell of it where growth is a + b * log n.

    About 1 for O(log n) and less; a cost that grows with n, or comes to do so, is several times what they foretell.
    """
    values = from_lowest(values)
    a, b = line(ns[:-1], values[:-1], math.log)
    return values[-1] / (a + b * math.log(ns[-1]))


@dataclass
class Curve:
    """Costs in us by (variant, N)."""

    name: str
    ns: list
    measured: Rounds

    def values(self, variant):
        return [self.measured[variant, n] for n in self.ns]

    def own_growth(self, variant):
        """The values; of raceguard's those without what the same grows by where there is no guard."""
        values = self.values(variant)
        if variant == PLAIN:
            return values
        plain = self.values(PLAIN)
        return [max(v - (p - plain[0]), values[0] / 10) for v, p in zip(values, plain)]

    def row(self, variant):
        own = self.own_growth(variant)
        return [self.name if variant == OURS else "", *map(us, self.values(variant)), growth(self.ns, own),
                ratio(beyond_log(self.ns, own))]

    def target(self):
        return Target(f"growth, {self.name}, at {self.ns[-1]}: against O(log n)", 1.5,
                      beyond_log(self.ns, self.own_growth(OURS)))


def tables(title, curves, note):
    """A table for each row of Ns that some of the curves have."""
    made = {}
    for curve in curves:
        made.setdefault(tuple(curve.ns), []).extend([curve.row(OURS), curve.row(PLAIN)])
    return [Table(f"{title}, by N up to {ns[-1]}", ["N", *map(str, ns), "growth", "beyond log n"], rows, note)
            for ns, rows in made.items()]
