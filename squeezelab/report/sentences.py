"""Why a codec wins on a series, in sentences that a person can check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import log2

from squeezelab.results import ENOUGH, MOST_DECIMALS, UNITS_IN_LAST_PLACE, Explanation, Winner


def explain_text(facts: Explanation, timestamps: Winner | None = None, values: Winner | None = None) -> list[str]:
    """Return sentences that a person can check.

    Parameters
    ----------
    facts : Explanation
        Of a series or a family.
    timestamps, values : Winner, optional
        The smallest codecs on it.

    Examples
    --------
    >>> from squeezelab.experiment.facts import explain_series
    >>> for line in explain_text(explain_series([0, 15, 30, 45], [0.5, 0.5, 0.5, 1.0]), values=Winner("xor", 70.0)):
    ...     print(line)
    100.0 % of the intervals repeat the one before: their delta of delta is zero. The most common one is 15 s.
    66.7 % of the values equal the one before; they stand in runs of 2.0 on average.
    Values have 1 digit after the point, and are multiples of 0.5.
    2 distinct values: a number for each of them takes 1 bit.
    They never fall: a counter.
    Entropy in bits: values 0.81 (2 distinct), deltas 0.92 (2), XORs 0.92 (2). The floor is the least, that of values.
    For more of the same, 0.99 is likelier (Miller and Madow).
    xor takes 70.00 bits a value, 69.19 above the floor. A value that equals the one before takes it one bit.
    """
    return [*_tell_timestamps(facts, timestamps), *_tell_values(facts), *_tell_floor(facts, values)]


def why(facts: Explanation) -> str:
    """Return in one line what is most telling of the values.

    Examples
    --------
    >>> from squeezelab.experiment.facts import explain_series
    >>> why(explain_series([0, 15, 30, 45], [0.05, 0.5, 0.5, 1.0]))
    '2 decimals; multiples of 0.05; 33 % repeats; 3 distinct; never fall'
    """
    if facts.is_constant:
        return "constant"
    told = []
    if facts.decimals is not None:
        told.append("whole numbers" if facts.decimals == 0 else _plural(facts.decimals, "decimal"))
        if facts.exact_share is not None and facts.exact_share < ENOUGH:
            told.append(f"{percent(1 - facts.exact_share, 0)} of them off by a few last bits")
        if _has_step(facts):
            told.append(f"multiples of {plain_number(facts.step)}")
    elif facts.near_decimals is not None:
        told.append(f"nearly {_plural(facts.near_decimals, 'decimal')}, noise below")
    else:
        told.append("doubles without decimals")
    if facts.repeat_share:
        told.append(f"{percent(facts.repeat_share, 0)} repeats")
    told.append(f"{facts.distinct:,} distinct")
    if facts.monotone:
        told.append("never fall")
    told += [_plural(count, name) for count, name in ((facts.nans, "NaN"), (facts.infinities, "infinity")) if count]
    return "; ".join(told)


def _tell_timestamps(facts: Explanation, winner: Winner | None) -> Iterator[str]:
    if facts.zero_dod_share is not None:
        yield (
            f"{percent(facts.zero_dod_share)} of the intervals repeat the one before: their delta of delta is zero. "
            f"The most common one is {facts.interval:,} {facts.time_unit}."
        )
    if winner:
        least = facts.intervals_entropy
        runner_up = _tell_runner_up(winner)
        yield (
            f"{winner.codec} takes {winner.bits:.2f} bits a timestamp{runner_up}; the entropy of the deltas of deltas "
            f"is {least.bits:.2f} ({least.symbols:,} distinct).{_tell_habit(winner, _TIMESTAMP_HABITS)}"
        )


def _tell_values(facts: Explanation) -> Iterator[str]:
    if facts.is_constant:
        yield "All values are the same." if facts.series == 1 else "The values of a series are all the same."
        return
    if facts.repeat_share is not None:
        yield (
            f"{percent(facts.repeat_share)} of the values equal the one before; they stand in runs of "
            f"{facts.mean_run:.1f} on average."
        )
    if facts.decimals is not None:
        digits = f"have {_plural(facts.decimals, 'digit')} after the point" if facts.decimals else "are whole numbers"
        step = f", and are multiples of {plain_number(facts.step)}" if _has_step(facts) else ""
        enough = ENOUGH if facts.series == 1 else ENOUGH**2  # of series with enough of the samples
        if facts.exact_share == 1:
            yield f"Values {digits}{step}."
        else:
            yield (
                f"At least {percent(enough, 0)} of the values {digits}, to within {UNITS_IN_LAST_PLACE} units in the "
                f"last place{step}. {percent(1 - (facts.exact_share or 0))} are not the very double nearest to such a "
                "decimal: arithmetic has left its traces, or they have more digits."
            )
    elif facts.near_decimals is not None:
        yield (
            f"Values come within a thousandth of {_plural(facts.near_decimals, 'digit')} after the point, but are not "
            "written so: what arithmetic left behind fills the bits below."
        )
    else:
        yield f"Values are not decimals of up to {MOST_DECIMALS} digits: their low bits look like noise."
    if facts.distinct:
        bits = log2(facts.distinct)
        where = "" if facts.series == 1 else " in a series, the median"
        yield f"{facts.distinct:,} distinct values{where}: a number for each of them takes {_plural(bits, 'bit')}."
    if facts.monotone:
        yield "They never fall: a counter."
    if facts.nans or facts.infinities:
        yield f"Not finite: {_plural(facts.nans, 'NaN')}, {_plural(facts.infinities, 'infinity')}."


def _tell_floor(facts: Explanation, winner: Winner | None) -> Iterator[str]:
    if facts.is_constant:
        if winner:
            yield (
                f"{winner.codec} takes {winner.bits:.2f} bits a value{_tell_runner_up(winner)}: one value, header and "
                "checksum are all there is to keep."
            )
        return
    least = min(facts.entropies, key=lambda name: facts.entropies[name].bits)
    parts = ", ".join(
        f"{name} {one.bits:.2f} ({one.symbols:,}{' distinct' if name == 'values' else ''})"
        for name, one in facts.entropies.items()
    )
    yield f"Entropy in bits: {parts}. The floor is the least, that of {least}."
    samples = facts.samples / facts.series
    if not facts.floor_is_sure:
        yield (
            f"These symbols occur less than twice on average: among {samples:,.0f} samples an entropy cannot show more "
            f"than {log2(max(samples, 2)):.1f} bits, and the list of symbols, which it leaves out, is most of the work."
        )
    elif facts.entropies[least].corrected - facts.entropies[least].bits > 0.05:
        yield f"For more of the same, {facts.entropies[least].corrected:.2f} is likelier (Miller and Madow)."
    if winner:
        distance = winner.bits - facts.floor
        side = "above" if distance >= 0 else "below"
        told = (
            f"{winner.codec} takes {winner.bits:.2f} bits a value{_tell_runner_up(winner)}, {abs(distance):.2f} {side} "
            "the floor"
        )
        if distance < 0:
            told += ": it sees more than one symbol at a time, which such an entropy does not"
        yield f"{told}.{_tell_habit(winner, _VALUE_HABITS)}"


def _tell_runner_up(winner: Winner) -> str:
    if winner.runner_up is None or winner.runner_up_bits is None:
        return ""
    return f" (next {winner.runner_up}, {winner.runner_up_bits:.2f})"


def _tell_habit(winner: Winner, habits: Mapping[str, str]) -> str:
    """Return what the winning codec does with numbers, for each part of it that is known."""
    parts = [re.split(":", part)[0] for part in winner.codec.split("+")]
    return "".join(f" {habits[part]}" for part in parts if part in habits)


_BYTES = "Stretches of bytes that came before are written as references to them."
_GENERAL = {"zstd": _BYTES, "zlib": _BYTES, "brotli": _BYTES, "lz4": _BYTES, "raw": "Nothing was found to save."}
_PACKED = "Small integers are packed side by side, each in as few bits as the largest near it needs."
_TIMESTAMP_HABITS = _GENERAL | {
    "delta_of_delta": "An interval that repeats takes it one bit.",
    "prometheus_xor": "An interval that repeats takes it one bit.",
    "prometheus_xor2": "An interval that repeats takes it one bit.",
    "delta_bitpack": _PACKED,
    "simple8b": _PACKED,
    "sprintz": "Of eight intervals each takes the bits of the one that differs most from zero.",
    "tally": "Intervals that repeat take it nothing.",
}
_VALUE_HABITS = _GENERAL | {
    "xor": "A value that equals the one before takes it one bit.",
    "prometheus_xor": "A value that equals the one before takes it one bit.",
    "prometheus_xor2": "A value that equals the one before takes it one bit.",
    "chimp": "It writes what a value does not share with the bits of the one before.",
    "chimp128": "It writes what a value does not share with the most alike of the 128 before.",
    "patas": "It writes the bytes that a value does not share with one of the 128 before.",
    "fpc": "It writes the bytes that two predictors do not foresee.",
    "elf": "It clears the bits that a short decimal does not need before it XORs.",
    "alp": "It turns decimals into integers and packs these.",
    "alp_rd": "It gives the common upper bits numbers of a dictionary, and writes the lower ones as they are.",
    "tsxor": "It writes where among the last 127 a value was, or the bytes that it does not share with one of them.",
    "buff": "It keeps decimals as fixed-point numbers, a byte of each after the other.",
    "dexor": "It writes the digits that a decimal does not share with the one before.",
    "es95": "It turns decimals into integers, and packs these without their offset and common divisor.",
    "delta_bitpack": _PACKED,
    "pattern": "It encodes each block as the pattern it is found to be: constant, steps, decimals.",
    "tally": "It takes values back to the integers they were made from, and codes these with models that learn.",
    "pcodec": "It finds a common step, takes deltas where these are smaller, and writes common ranges in fewer bits.",
}


def _has_step(facts: Explanation) -> bool:
    """Tell whether there is a step that the number of decimals does not say already."""
    return facts.step is not None and facts.decimals is not None and facts.step > 1.5 * 10.0**-facts.decimals


def percent(share: float, digits: int = 1) -> str:
    """Return a share in percent; one that is not whole is never rounded to none or to all.

    >>> percent(1.0), percent(0.99999), percent(0.00001), percent(0.5, 0)
    ('100.0 %', 'over 99.9 %', 'under 0.1 %', '50 %')
    """
    finest = 10.0**-digits
    if 0 < 100 * share < finest / 2:
        return f"under {finest:.{digits}f} %"
    if 100 - finest / 2 <= 100 * share < 100:
        return f"over {100 - finest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def _plural(count: float, name: str) -> str:
    number = f"{count:,}" if isinstance(count, int) else f"{count:.3g}"
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{number} {name if count == 1 else plural}"


def plain_number(number: float | None) -> str:
    """Return a step as a decimal, without an exponent where it is an everyday one."""
    return "none" if number is None else f"{number:,.0f}" if number >= 1 and number == int(number) else f"{number:.12g}"
