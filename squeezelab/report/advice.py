"""Advice as text: what to paste, what it saves, and what it costs to read."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from squeezelab.report.cost import gigabytes_held, tell_gigabytes
from squeezelab.report.table import Table
from squeezelab.results import Advice, CostBasis, ProvenSetting

OTHER = "also proven"
ROLES = {"default": "today's default", "advised": "advised", "second": "second best", "other": OTHER}


def _named(advice: Advice) -> dict[str, ProvenSetting]:
    """Return the settings that were proven by what they are called: the second best may be the default, for one."""
    names: dict[str, list[str]] = {}
    settings = {one.statement: one for one in reversed(advice.settings)}
    for one in advice.settings:
        names.setdefault(one.statement, []).append(ROLES[one.role])
    named = {" and ".join(dict.fromkeys(roles)): settings[text] for text, roles in names.items() if roles != [OTHER]}
    others = [settings[text] for text, roles in names.items() if roles == [OTHER]]
    return named | {f"{OTHER} {number}": one for number, one in enumerate(others, 1)}


def settings_table(advice: Advice) -> Table:
    """Return the settings that were proven: bytes, and what they save."""
    default = advice.get("default")
    rows = [
        [
            name,
            one.description,
            _told_exact(one),
            f"{one.encoded_bytes:,}",
            f"{one.bytes_per_sample:.3f}",
            "-" if one.further_bytes is None else f"{one.further_bytes:.3f}",
            "-" if default is None or one is default else f"{1 - one.encoded_bytes / default.encoded_bytes:.1%}",
        ]
        for name, one in _named(advice).items()
    ]
    headers = ["", "setting", "exact", "bytes", "B/sample", "B/further", "saved"]
    note = (
        "Each was run as its text says, read back and compared bit by bit. B/further: bytes of each further sample, "
        "from the later half of each series."
    )
    return Table(f"{advice.title}: settings", headers, rows, note, names=3)


def _told_exact(one: ProvenSetting) -> str:
    return "yes" if one.bit_exact else f"no: {one.lost}"


def times_table(advice: Advice) -> Table:
    """Return what the settings that were proven take to write and to read, with intervals."""
    rows = [
        [
            name,
            _milliseconds(one.ingest_s, one.ingest_ci),
            _milliseconds(one.hour_s, one.hour_ci),
            _milliseconds(one.whole_s, one.whole_ci),
        ]
        for name, one in _named(advice).items()
    ]
    headers = ["", "ingest", "an hour of one series", "everything"]
    note = "Milliseconds: median, and in brackets its 95 % interval, caches warm."
    return Table(f"{advice.title}: times", headers, rows, note)


def _milliseconds(seconds: float | None, interval: tuple[float, float] | None) -> str:
    """Return a time and its interval.

    Examples
    --------
    >>> _milliseconds(1.2345, (0.012, 0.0131)), _milliseconds(None, None)
    ('1,230 [12-13.1]', '-')
    """
    if seconds is None:
        return "-"
    low, high, middle = (f"{Decimal(f'{1e3 * one:.3g}'):,f}" for one in (*(interval or (0, 0)), seconds))
    return middle if interval is None else f"{middle} [{low}-{high}]"


def segments_table(advice: Advice) -> Table:
    """Return what the system chose by itself."""
    rows = [
        [
            one.table,
            one.column,
            one.chosen,
            one.best or ("-" if one.best_bytes is None else "nothing"),
            f"{one.count:,}",
            *("-" if size is None else f"{size:,}" for size in (one.encoded_bytes, one.best_bytes)),
            "-" if not one.encoded_bytes or not one.best_bytes else f"{one.encoded_bytes / one.best_bytes - 1:.1%}",
        ]
        for one in advice.segments
    ]
    note = "Least: the column by itself, in the same table and order. Regret: bytes over the least"
    if advice.regret is not None:
        note += f"; over the smallest that the system was made to write it is {advice.regret:.1%} for all"
    headers = ["table", "column", "chosen", "least by", "segments", "bytes", "least", "regret"]
    return Table(f"{advice.title}: chosen by itself", headers, rows, f"{note}.", names=4)


def noise_table(advice: Advice) -> Table:
    """Return where rounding would save."""
    rows = [
        [
            one.metric,
            one.reason,
            f"{one.decimals}",
            f"{one.largest_error:.3g}",
            "-" if one.saved_bytes is None else f"{one.saved_bytes:,}",
        ]
        for one in advice.noise
    ]
    note = (
        "Rounding is a loss. It is never done by itself: decide metric by metric. Saved: by the advised text, as it "
        "is; a line: there was no time to run it."
    )
    headers = ["metric", "why", "digits kept", "largest error", "bytes saved"]
    return Table("Digits that are noise", headers, rows, note, names=2)


def comparison_table(advice: Sequence[Advice]) -> Table:
    """Return what the choice of a system costs: bytes of each further sample, and what it loses."""
    rows = []
    for one in advice:
        default, advised = one.get("default"), one.get("advised")
        if default is None or advised is None:
            continue
        further = ("-" if each.further_bytes is None else f"{each.further_bytes:.3f}" for each in (default, advised))
        saved = f"{1 - advised.encoded_bytes / default.encoded_bytes:.1%}"
        sizes = (f"{each.bytes_per_sample:.3f}" for each in (default, advised))
        hour = _milliseconds(advised.hour_s, advised.hour_ci)
        rows.append([one.title, _told_exact(advised), *sizes, saved, *further, hour])
    headers = ["system", "exact", "B/sample", "advised", "saved", "B/further", "advised", "hour ms"]
    note = (
        "On the same samples, where no part is named above: bytes by today's default and as advised. Hour: one of one "
        "series, read with the advised setting."
    )
    return Table("Systems beside each other", headers, rows, note, names=2)


def money_table(advice: Sequence[Advice], basis: CostBasis) -> Table:
    """Return what is held, and what it costs a month, before and after."""
    rows = []
    for one in advice:
        for role in ("default", "advised"):
            setting = one.get(role)
            if setting is None:
                continue
            taken = setting.bytes_per_sample if setting.further_bytes is None else setting.further_bytes
            held = gigabytes_held(taken, basis)
            price = basis.price_per_gb_month
            rows.append(
                [one.system, ROLES[role], tell_gigabytes(held), "-" if price is None else f"{held * price:,.2f}"]
            )
    note = "On the bytes of each further sample, or of all where these are too few to tell; GB: 10^9 bytes, one copy."
    return Table("What it costs to keep", ["system", "", "GB held", "a month"], rows, note, names=2)


def tables_of(advice: Advice) -> list[Table]:
    """Return the tables of the advice for one system."""
    return [
        table
        for table in (settings_table(advice), times_table(advice), segments_table(advice), noise_table(advice))
        if table.rows
    ]


def tables_beside(advice: Sequence[Advice], basis: CostBasis | None = None) -> list[Table]:
    """Return the tables that several systems share: what each takes, and what that costs."""
    tables = [comparison_table(advice)] if len(advice) > 1 else []
    return [*tables, money_table(advice, basis)] if basis is not None and advice else tables


def advice_tables(advice: Sequence[Advice], basis: CostBasis | None = None) -> list[Table]:
    """Return all tables of some advice."""
    return [*(table for one in advice for table in tables_of(one)), *tables_beside(advice, basis)]


def advice_markdown(advice: Sequence[Advice], name: str, words: Sequence[str], basis: CostBasis | None) -> str:
    """Return advice.md."""
    return "\n".join([f"# Advice for {name}", "", *advice_lines(advice, basis), *(f"- {word}" for word in words), ""])


def advice_lines(advice: Sequence[Advice], basis: CostBasis | None) -> list[str]:
    """Return texts to paste and tables as Markdown, from heads of the second level on."""
    lines = []
    for one in advice:
        lines += [f"## {one.title}: paste this", "", f"{one.version}; objective {one.objective}.", ""]
        for file, text in one.statements.items():
            fence = "`" * max(3, _longest_run(text) + 1)
            lines += [
                f"`{file}`",
                "",
                f"{fence}{file.rpartition('.')[2].replace('py', 'python')}",
                text.rstrip(),
                fence,
                "",
            ]
        lines += [f"- {' '.join(note.split())}" for note in one.notes] + [""]
    return lines + [table.to_markdown() for table in advice_tables(advice, basis)]


def _longest_run(text: str) -> int:
    """Return how many backticks stand in a row at most: a fence has one more."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
