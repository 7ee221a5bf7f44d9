"""What a bench run prints: medians over the rounds, ratios pair by pair, and the two promises."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

AIM_CPU, AIM_RATE = 1.0, 0.5
SLACK = 3.0  # machines are noisy: an aim that is missed by less in any round is printed and fails nothing
PROMISED_AT = 128  # drives


@dataclass(frozen=True)
class Sample:
    """One measurement: rate a second, latencies in seconds, CPU microseconds a piece by process."""

    rate: float
    p50: float
    p99: float
    cpu_us: dict[str, float]

    def cpu_of(self, *names: str) -> float:
        """Return the CPU of these processes together."""
        return sum(self.cpu_us[name] for name in names)


Pair = tuple[Sample, Sample]  # an exchange and the echo measured next to it
Pick = Callable[[Sample], float]
FIGURES: tuple[Pick, ...] = (lambda each: each.rate, lambda each: each.p50, lambda each: each.p99)


def print_report(pairs: dict[int, list[Pair]]) -> bool:
    """Print all tables and verdicts; tell whether every promise holds within the slack."""
    _print_rates(pairs)
    _print_cpu(pairs)
    return PROMISED_AT not in pairs or _print_promises(pairs[PROMISED_AT])


def _medians(samples: Sequence[Sample]) -> list[float]:
    return [statistics.median(map(pick, samples)) for pick in FIGURES]


def _print_rates(pairs: dict[int, list[Pair]]) -> None:
    head = f"{'a second':>9} {'p50 ms':>7} {'p99 ms':>7}"
    print(f"\n{'':6} | {'exchange':25} | {'echo':25} | {'ratio':17}")
    print(f"{'drives':>6} | {head} | {head} | {'rate':>5} {'p50':>5} {'p99':>5}")
    for count, measured in pairs.items():
        rows = [_medians([pair[side] for pair in measured]) for side in (0, 1)]
        ratios = [statistics.median(pick(a) / pick(b) for a, b in measured) for pick in FIGURES]
        cells = " | ".join(f"{rate:9.0f} {p50 * 1e3:7.2f} {p99 * 1e3:7.2f}" for rate, p50, p99 in rows)
        print(f"{count:6} | {cells} | {ratios[0]:5.2f} {ratios[1]:5.2f} {ratios[2]:5.2f}")


def _print_cpu(pairs: dict[int, list[Pair]]) -> None:
    print(f"\n{'drives':>6} | CPU in microseconds for one exchange, and for one echo")
    for count, measured in pairs.items():
        cells = [
            f"{name} {statistics.median(pair[side].cpu_us[name] for pair in measured):.0f}"
            for side, names in enumerate((("service", "gateway", "drives"), ("server", "client")))
            for name in names
        ]
        print(f"{count:6} | {', '.join(cells[:3])} | echo {', '.join(cells[3:])}")


def _print_promises(measured: list[Pair]) -> bool:
    cpu = [a.cpu_of("service", "gateway") / b.cpu_of("server", "client") for a, b in measured]
    rate = [a.rate / b.rate for a, b in measured]
    print()
    within = _print_promise("CPU of service and gateway to the echo's", cpu, AIM_CPU, most=True)
    return (
        _print_promise("rate to the echo's, drives' arithmetic included", rate, AIM_RATE, most=False)
        and within
    )


def _print_promise(what: str, ratios: list[float], aim: float, *, most: bool) -> bool:
    """Print the median with its spread; the run fails only if no round came within the slack of the aim."""
    found = statistics.median(ratios)
    missed_by = found / aim if most else aim / found
    best = min(ratios) / aim if most else aim / max(ratios)
    verdict = "met" if missed_by <= 1 else f"missed by a factor of {missed_by:.2f}"
    word = "at most" if most else "at least"
    spread = f"{found:.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"
    print(f"{PROMISED_AT} drives, {what}: {spread}; {word} {aim}: {verdict}")
    return best <= SLACK
