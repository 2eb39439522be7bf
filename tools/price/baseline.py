"""The price that was agreed on: a JSON file beside this one, and what has grown since."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tools.price.figures import FIGURES, Counts

FILE = Path(__file__).parent / "baseline.json"
EXACT_PERCENT = 5.0
PROCESSOR_PERCENT = 15.0
NAMED = 3
"""Hops that a complaint names: those that grew most."""
LEAST_GROWTH = 0.05
"""Statements an order by which a hop must have grown to be named."""


class BaselineError(ValueError):
    """There is no baseline, or it isn't one; the message is one line for a person."""


@dataclass(frozen=True)
class Price:
    """What an order costs by service: counts, and CPU as a ratio to the calibration of the same run."""

    counts: Mapping[str, Counts]
    processor: Mapping[str, float]


_PRICE = TypeAdapter(Price)


def read_baseline(file: Path = FILE) -> Price:
    """The committed price. Raises BaselineError."""
    try:
        return _PRICE.validate_json(file.read_bytes())
    except OSError:
        raise BaselineError(f'no baseline in {file}: ARGS="--write-baseline" writes one') from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BaselineError(
            f'{file} is no baseline: {where}: {first["msg"]}; ARGS="--write-baseline" writes a new one'
        ) from None


def write_baseline(price: Price, file: Path = FILE) -> None:
    """With three decimals, which is more than repeats."""
    file.write_text(json.dumps(_rounded(asdict(price)), indent=2) + "\n")


def growth(before: Price, now: Price) -> Sequence[str]:
    """What costs more than it may, each a sentence that names the service and, of statements, the hops."""
    return [*_counts_growth(before, now), *_processor_growth(before, now)]


def _counts_growth(before: Price, now: Price) -> Iterator[str]:
    for service, counts in now.counts.items():
        old = before.counts.get(service)
        if old is None:
            yield f"{service} has no baseline"
            continue
        for figure in FIGURES:
            was, is_ = getattr(old, figure), getattr(counts, figure)
            if _has_grown(was, is_, EXACT_PERCENT):
                yield f"{service}: {figure.replace('_', ' ')} {_step(was, is_)}{_hops(old, counts)}"


def _processor_growth(before: Price, now: Price) -> Iterator[str]:
    for service, ratio in now.processor.items():
        was = before.processor.get(service, 0.0)
        if _has_grown(was, ratio, PROCESSOR_PERCENT):
            yield f"{service}: CPU {_step(was, ratio)} times the calibration"


def _has_grown(was: float, is_: float, percent: float) -> bool:
    return is_ > was * (1 + percent / 100)


def _step(was: float, is_: float) -> str:
    percent = f" ({100 * (is_ / was - 1):+.1f} %)" if was else ""
    return f"{was:,.2f} -> {is_:,.2f}{percent}"


def _hops(before: Counts, now: Counts) -> str:
    """The hops that grew most; nothing where none did."""
    grown = {name: times - before.hops.get(name, 0.0) for name, times in now.hops.items()}
    most = sorted(((more, name) for name, more in grown.items() if more >= LEAST_GROWTH), reverse=True)[:NAMED]
    return ": " + ", ".join(f"{name} {more:+.2f}" for more, name in most) if most else ""


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3)
