"""Frames and files damaged under checksums that are right: they are read or rejected, and nothing else happens.

What was once read otherwise stays in ``findings/``. ``running-*`` there is what a process was reading when it died.
"""

import contextlib
import faulthandler
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import xxhash

from columns import at_the_end_of_memory
from fuzz.forging import Subject, subjects
from fuzz.reading import reader_subjects
from squeezelab import CorruptDataError

FINDINGS = Path(__file__).parent / "findings"
SUBJECTS = subjects() + reader_subjects()
FEWEST = 20
HANGS = 60
"""Seconds after which a decoder that has not come back never will."""

pytestmark = pytest.mark.bounds


def findings(subject: Subject) -> Path:
    """Return the folder of what was found of a subject."""
    return FINDINGS / subject.name.replace(":", "@")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[BinaryIO]:
    """Open a file that stays where it is, as a finding, if the process dies or hangs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"running-{os.getpid()}.bin"
    with path.open("wb", buffering=0) as file:
        try:
            yield file
        finally:
            path.unlink()


def decode(subject: Subject, data: bytes) -> str | None:
    """Return what a decoder raises that it must not."""
    try:
        subject.decode(at_the_end_of_memory(data))
    except CorruptDataError:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def fuzz(subject: Subject, seed: int, seconds: float, file: BinaryIO) -> tuple[bytes, str] | None:
    """Return damaged bytes and what is wrong with how they were read, if any were found in the time."""
    make, rng = subject.forger(), random.Random(f"{seed} {subject.name}")
    faulthandler.dump_traceback_later(seconds + HANGS, exit=True)
    try:
        end, count = time.monotonic() + seconds, 0
        while count < FEWEST or time.monotonic() < end:
            data = make(rng)
            file.seek(0)
            file.write(data)
            file.truncate()
            if reason := decode(subject, data):
                return data, reason
            count += 1
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_checks_out_is_read_or_rejected(subject: Subject, request: pytest.FixtureRequest) -> None:
    option = request.config.option
    folder = findings(subject)
    with running(folder) as file:
        found = fuzz(subject, option.fuzz_seed, option.fuzz_seconds / len(SUBJECTS), file)
    if found:
        data, reason = found
        kept = folder / f"{xxhash.xxh3_64_hexdigest(data)}.bin"
        kept.write_bytes(data)
        pytest.fail(f"{reason}, of {kept.relative_to(FINDINGS)}; drawn with --fuzz-seed {option.fuzz_seed}")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_findings_are_read_or_rejected(subject: Subject) -> None:
    for path in sorted(findings(subject).glob("*.bin")):
        assert decode(subject, path.read_bytes()) is None, path.name


def test_findings_belong_to_what_is_fuzzed() -> None:
    folders = {path.parent for path in FINDINGS.rglob("*.bin")}
    assert {FINDINGS / "codecs/victoria", FINDINGS / "formats/prometheus"} <= folders <= set(map(findings, SUBJECTS))
