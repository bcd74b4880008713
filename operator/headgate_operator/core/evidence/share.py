"""The gate on a share of bad requests: errors, or refused inputs. Harm, safety, and the ceiling where there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from headgate_operator.api.evidence import ShareState
from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.dispersion import Dispersion
from headgate_operator.core.evidence.eprocess import HARM, SAFETY, EProcess
from headgate_operator.core.evidence.evalue import log_e_value_of_one_arm, log_e_values
from headgate_operator.core.evidence.numbers import packed, unpacked
from headgate_operator.core.evidence.terms import Terms

PRIOR_BAD, PRIOR_TOTAL = 0.5, 50.0
LEAST_RATE, LARGEST_RATE = 1e-6, 0.999
MARGIN_OF_RATE = 0.5


@dataclass(frozen=True, slots=True)
class History:
    """What stable did before the interval: a guess of its rate, which costs power where it is wrong, not validity."""

    bad: float = 0.0
    total: float = 0.0

    @property
    def rate(self) -> float:
        rate = (PRIOR_BAD + self.bad) / (PRIOR_TOTAL + self.total)
        return min(max(rate, LEAST_RATE), LARGEST_RATE)

    def after(self, counts: Counts) -> Self:
        return type(self)(self.bad + counts.k_s, self.total + counts.n_s)


@dataclass(frozen=True, slots=True)
class Share:
    harm: EProcess = field(default_factory=lambda: EProcess(HARM))
    safety: EProcess = field(default_factory=lambda: EProcess(SAFETY))
    ceiling: EProcess = field(default_factory=lambda: EProcess(HARM))
    harm_history: History = field(default_factory=History)
    safety_history: History = field(default_factory=History)
    dispersion: Dispersion = field(default_factory=Dispersion)
    totals: Counts = field(default_factory=Counts)

    def margin(self, terms: Terms) -> float:
        return max(terms.margin, MARGIN_OF_RATE * self.safety_history.rate)

    def after(self, terms: Terms, everything: Counts, warm: Counts) -> Self:
        """One interval. Harm counts every request; safety leaves out what pods answered while they warmed up."""
        counted, settled = self.dispersion.divided(everything), self.dispersion.divided(warm)
        harm_es = log_e_values(HARM.grid, counted, self.harm_history.rate)
        safety_es = log_e_values(SAFETY.grid, settled, self.safety_history.rate, 1.0, self.margin(terms))
        harm = self.harm.after(harm_es, terms.harm_cap)
        return type(self)(
            harm=harm,
            safety=self.safety.after(safety_es, terms.safety_cap),
            ceiling=self._ceiling_after(terms, counted, harm),
            harm_history=self.harm_history.after(counted),
            safety_history=self.safety_history.after(settled),
            dispersion=self.dispersion.after(everything.n_s, everything.k_s),
            totals=self.totals.plus(everything),
        )

    def _ceiling_after(self, terms: Terms, counted: Counts, harm: EProcess) -> EProcess:
        """That the candidate is above the ceiling *and* worse than stable: of both proofs the weaker one counts.

        So an outage of both arms, which carries an equal candidate far above any ceiling, proves nothing against it.
        """
        if terms.ceiling is None:
            return self.ceiling
        if counted.n_c <= 0 or counted.n_s <= 0:
            return self.ceiling.after(None, terms.harm_cap)
        worse = harm.log_value - self.harm.log_value
        es = [min(log_e_value_of_one_arm(u, counted.n_c, counted.k_c, terms.ceiling), worse) for u in HARM.grid]
        return self.ceiling.after(es, terms.harm_cap)

    @property
    def state(self) -> ShareState:
        history = (self.harm_history.bad, self.harm_history.total, self.safety_history.bad, self.safety_history.total)
        return ShareState(
            harm=self.harm.text,
            safety=self.safety.text,
            ceiling=self.ceiling.text,
            history=packed(history),
            dispersion=self.dispersion.text,
            totals=packed(self.totals),
        )

    @classmethod
    def read(cls, state: ShareState) -> Self:
        if not state.totals:
            return cls()
        bad, total, warm_bad, warm_total = unpacked(state.history, 4, least=0)
        return cls(
            harm=EProcess.read(HARM, state.harm),
            safety=EProcess.read(SAFETY, state.safety),
            ceiling=EProcess.read(HARM, state.ceiling),
            harm_history=History(bad, total),
            safety_history=History(warm_bad, warm_total),
            dispersion=Dispersion.read(state.dispersion),
            totals=Counts(*unpacked(state.totals, 4, least=0)),
        )
