"""Service documents: what they say, who makes them, and that a file is whole or untouched."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import fmean, pstdev
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import PROJECT

from squeezelab import generate_metric_data
from squeezelab.documents.comparison import compare_ways, write_comparison
from squeezelab.documents.writing import DAY, make_documents, plain_documents
from squeezelab.errors import InvalidRequestError
from squeezelab.generators._random_bits import U
from squeezelab.generators._services import DEFAULT_TABLE, HUNDREDTHS, Services, lay_out, read_services
from squeezelab.generators.documents import draw_documents
from squeezelab.generators.synthetic import START

END = 1_700_000_000  # 2023-11-14T22:13:20Z


@pytest.fixture(scope="module")
def services() -> Services:
    return read_services()


def make(path: Path, services: Services, **options) -> bytes:
    make_documents(path, services, **({"end": END, "seconds": 7_300, "seed": 5} | options))
    return path.read_bytes()


@pytest.fixture(scope="module")
def text(services: Services, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("documents") / "file", services)


@pytest.fixture(scope="module")
def records(text: bytes) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_is_json_that_ends_in_a_newline(text: bytes, records: list[dict]) -> None:
    assert text.endswith(b"}\n")
    assert len(records) == text.count(b"\n") == 4 * 7_300
    assert 200 <= len(text) / len(records) <= 240


def test_every_service_writes_every_second_in_the_order_of_time(services: Services, records: list[dict]) -> None:
    stamps = [record["@timestamp"] for record in records]
    assert stamps == sorted(stamps)
    assert stamps[-1] == "2023-11-14T22:13:20Z"
    assert stamps[0] == "2023-11-14T20:11:41Z"
    assert set(Counter(stamps).values()) == {4}
    assert [record["service.name"] for record in records] == list(services.names) * 7_300


def test_fields_are_those_promised(records: list[dict]) -> None:
    plain = ["@timestamp", "service.name", "http.status_code", "latency_ms", "log.message", "trace.id", "span.id"]
    for record in records[:400]:
        paid = ["transaction"] if record["service.name"] == "payment" else []
        assert list(record) == plain + paid
        assert re.fullmatch("[0-9a-f]{32}", record["trace.id"])
        assert re.fullmatch("[0-9a-f]{16}", record["span.id"])
        if paid:
            assert list(record["transaction"]) == ["type", "amount", "status"]
    assert len({record["trace.id"] for record in records}) == len(records)
    assert len({record["span.id"] for record in records}) == len(records)


def test_a_line_is_what_json_dumps_makes_of_what_was_drawn(services: Services, text: bytes) -> None:
    layout = lay_out(services)
    variants, latencies, transactions, amounts = (np.empty((7_300, 4), np.int64) for _ in range(4))
    draw_documents(U(5), END - 7_300 + 1, layout, variants, latencies, transactions, amounts)
    every_variant = [variant for group in services.variants for variant in group]
    every_transaction = [transaction for group in services.transactions for transaction in group]
    lines = text.decode().splitlines()
    for i in range(0, 4 * 7_300, 7):
        second, service = divmod(i, 4)
        variant = every_variant[variants[second, service]]
        given = json.loads(lines[i])
        document = {
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(END - 7_300 + 1 + second)),
            "service.name": variant.service,
            "http.status_code": variant.status,
            "latency_ms": int(latencies[second, service]) / HUNDREDTHS,
            "log.message": variant.message,
            "trace.id": given["trace.id"],
            "span.id": given["span.id"],
        }
        if transactions[second, service] >= 0:
            transaction = every_transaction[transactions[second, service]]
            amount = int(amounts[second, service]) / HUNDREDTHS
            document["transaction"] = {"type": transaction.type, "amount": amount, "status": transaction.status}
        assert lines[i] == json.dumps(document, separators=(",", ":"))


def shares(values: list) -> dict:
    return {value: count / len(values) for value, count in Counter(values).items()}


def test_shares_and_latencies_are_those_of_the_table(services: Services, records: list[dict]) -> None:
    for name, variants in zip(services.names, services.variants, strict=True):
        own = [record for record in records if record["service.name"] == name]
        strange = {(variant.status, variant.message) for variant in variants if variant.anomaly}
        usual = [record for record in own if (record["http.status_code"], record["log.message"]) not in strange]
        assert 1 - len(usual) / len(own) == pytest.approx(0.02, abs=0.006)
        found = shares([record["http.status_code"] for record in usual])
        assert found == pytest.approx({200: 0.85, 201: 0.10, 204: 0.05}, abs=0.015)
        latencies, bell = [record["latency_ms"] for record in usual], variants[0].latency
        assert fmean(latencies) == pytest.approx(bell.mean / 100, abs=0.05 * bell.deviation / 100)
        assert pstdev(latencies) == pytest.approx(bell.deviation / 100, rel=0.05)
        assert bell.low / 100 <= min(latencies) <= max(latencies) <= bell.high / 100
    paid = [record["transaction"]["status"] for record in records if "transaction" in record]
    assert shares(paid) == pytest.approx({"success": 0.95, "failed": 0.04, "cancelled": 0.01}, abs=0.01)


def test_latencies_are_gaussian(records: list[dict]) -> None:
    usual = np.array([r["latency_ms"] for r in records if r["service.name"] == "auth" and r["http.status_code"] < 300])
    for deviations, share in ((1, 0.6827), (2, 0.9545)):
        assert (abs(usual - 25) <= 8 * deviations).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
def test_bytes_do_not_depend_on_the_workers(workers: int, services: Services, text: bytes, tmp_path: Path) -> None:
    assert make(tmp_path / "file", services, workers=workers) == text


def test_a_part_of_the_stream_is_the_same_whatever_surrounds_it(
    services: Services, text: bytes, tmp_path: Path
) -> None:
    part = make(tmp_path / "file", services, end=END - 100, seconds=50)
    assert part in text


def test_another_seed_makes_other_documents(services: Services, text: bytes, tmp_path: Path) -> None:
    assert make(tmp_path / "file", services, seed=6) != text


@pytest.mark.parametrize(
    ("end", "stamp"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ],
)
def test_dates_are_right(end: int, stamp: str, services: Services, tmp_path: Path) -> None:
    assert json.loads(make(tmp_path / "file", services, end=end, seconds=1).splitlines()[0])["@timestamp"] == stamp


@pytest.mark.parametrize(("end", "seconds"), [(END, 0), (5, 7), (253_402_300_800, 1)])
def test_spans_that_cannot_be_are_rejected(end: int, seconds: int, services: Services, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError):
        make(tmp_path / "file", services, end=end, seconds=seconds)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_noticed_before(services: Services, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(InvalidRequestError, match="are free"):
        make(tmp_path / "file", services)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_what_was_there(services: Services, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    program = (
        "import resource, signal, sys\n"
        "from squeezelab.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
        "sys.argv = ['squeezelab', 'documents', '--days', '1', '--output', sys.argv[1]]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "file"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"error: cannot write \S+: File too large; what was there is there still", last)
    assert (tmp_path / "file").read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_what_was_there(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    command = [
        sys.executable,
        PROJECT / "main.py",
        "documents",
        "--days",
        "14",
        "--workers",
        "1",
        "--output",
        tmp_path / "file",
    ]
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    descriptors = Path(f"/proc/{run.pid}/fd")
    if not descriptors.exists():
        run.kill()
        pytest.skip("this system does not show which files a process writes")
    while run.poll() is None and not any(is_large(one) for one in descriptors.iterdir()):
        time.sleep(0.01)
    run.send_signal(number)
    _, errors = run.communicate()
    assert run.returncode == (-9 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert errors.splitlines()[-1] == "error: interrupted"
        assert "Traceback" not in errors
    assert (tmp_path / "file").read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def is_large(descriptor: Path) -> bool:
    try:
        return descriptor.stat().st_size > 10_000_000 and str(descriptor.readlink()).startswith("/")
    except OSError:
        return False


def test_the_command_line_makes_the_same_bytes(services: Services, text: bytes, tmp_path: Path) -> None:
    days = str(7_300 / DAY)
    arguments = ["--days", days, "--seed", "5", "--end", "2023-11-14T22:13:20Z", "--output", "deep/folder/file"]
    done = subprocess.run(
        [sys.executable, PROJECT / "main.py", "documents", *arguments, "--workers", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "deep/folder/file").read_bytes() == text
    assert "29,200 documents" in done.stdout
    assert "joining" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "0"], "days"),
        (["--days", "nan"], "days"),
        (["--days", "x"], "--days"),
        (["--end", "tomorrow"], "no time"),
        (["--end", "1900-01-01"], "1970"),
        (["--workers", "0"], "workers"),
        (["--workers", "17"], "workers"),
        (["--seed", "-1"], "--seed"),
        (["--scenarios", "missing.toml"], "missing.toml"),
        (["--output", "."], "is a directory"),
        (["--output", "/dev/null"], "device"),
        (["--compare", "--output", "."], "is a directory"),
        (["--compare", "--workers", "99"], "workers"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROJECT / "main.py", "documents", "--days", "0.001", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message.lower() in done.stderr.lower()
    assert not list(tmp_path.iterdir())


# The table


def test_another_table_takes_the_place_of_the_built_in_one(tmp_path: Path) -> None:
    table = tmp_path / "table.toml"
    table.write_text(
        """
        anomaly_share = 0.5
        [[service]]
        name = 'a "quoted" näme'
        latency_ms = { mean = 1, deviation = 0, low = 0, high = 2 }
        status = { 200 = 1 }
        message = { 200 = "line\\nbreak" }
        [[scenario]]
        service = 'a "quoted" näme'
        status = 500
        latency_ms = { mean = 3.1, deviation = 0, low = 3, high = 4 }
        message = "bad"
        """
    )
    text = make(tmp_path / "file", read_services(table), seconds=1000)
    records = [json.loads(line) for line in text.splitlines()]
    assert {record["service.name"] for record in records} == {'a "quoted" näme'}
    assert {(record["latency_ms"], record["log.message"]) for record in records} == {(1.0, "line\nbreak"), (3.1, "bad")}
    assert sum(record["http.status_code"] == 500 for record in records) == pytest.approx(500, abs=80)


def test_options_before_the_command_are_not_passed_over(tmp_path: Path) -> None:
    command = [sys.executable, PROJECT / "main.py", "--seed", "5", "documents", "--days", "0.001"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: --seed stands before documents: put it after\n"


def test_what_a_link_points_to_is_replaced(services: Services, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "target")
    make(tmp_path / "link", services, seconds=5)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_bytes().count(b"\n") == 20


def test_a_pipe_is_not_replaced(services: Services, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequestError, match="device"):
        make_documents(tmp_path / "pipe", services, end=END, seconds=5)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("deviation = 12", "deviation = inf", "infinity"),
        ("deviation = 12", "deviation = 1e30", "bell curve"),
        ("200 = 85", "200 = nan", "no weights"),
        ("200 = 85", "200 = inf", "no weights"),
        ('name = "auth"', "name = 5", "no text"),
        ('message = "Card declined"', 'message = ["x"]', "no text"),
        ("anomaly_share = 0.02", "", "'anomaly_share' is missing"),
        ("anomaly_share = 0.02", "anomaly_share = 2", "no share"),
        ("anomaly_share = 0.02", "anomaly_share = [", "cannot read"),
        ('service = "auth"', 'service = "unknown"', "unknown services: unknown"),
        ('name = "auth"', 'name = "gateway"', "two of one name"),
        ("mean = 45", "mean = 4500", "bell curve"),
        ("mean = 45", 'mean = "x"', "could not convert"),
        ("deviation = 12", "deviation = -1", "bell curve"),
        ("status = 502", "status = 7", "no HTTP status"),
        ("{ 200 = 85, 201 = 10, 204 = 5 }", "{}", "no weights"),
        ("200 = 85", "200 = -85", "no weights"),
        ('204 = "Probe answered"', '203 = "x"', "'204' is missing"),
    ],
)
def test_tables_of_another_form_are_rejected_in_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "table.toml"
    table.write_text(DEFAULT_TABLE.read_text().replace(old, new, 1))
    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_services(table)
    assert "\n" not in str(caught.value)
    assert "table.toml" in str(caught.value)


# The plain way, and the comparison


def test_the_plain_way_makes_documents_of_the_same_form(services: Services, records: list[dict]) -> None:
    plain = [json.loads(line) for line in plain_documents(services, end=END, seconds=7_300, seed=5)]
    assert [list(record) for record in plain] == [list(record) for record in records]
    assert [record["@timestamp"] for record in plain] == [record["@timestamp"] for record in records]
    for name in services.names:
        means = [fmean(one["latency_ms"] for one in some if one["service.name"] == name) for some in (plain, records)]
        assert means[0] == pytest.approx(means[1], rel=0.1)


def test_the_comparison_reports_both_ways(services: Services, tmp_path: Path) -> None:
    made, comparison = compare_ways(tmp_path / "file", services, end=END, seconds=2_000, seed=1)
    assert made.documents == comparison.ways[1].documents == 8_000
    assert [way.way for way in comparison.ways] == ["plain", "squeezelab", "plain writes"]
    assert comparison.ways[0].speed_up == 1
    assert comparison.ways[1].bytes == comparison.ways[2].bytes == (tmp_path / "file").stat().st_size
    assert {(one.service, one.way) for one in comparison.quality} == {
        (name, way) for name in services.names for way in ("plain", "squeezelab")
    }
    paths = write_comparison(comparison, tmp_path / "report")
    assert {path.name for path in paths} == {"comparison.md", "comparison.csv", "rates.png", "rates.svg"}
    assert "speed-up" in paths[0].read_text()
    assert [one.name for one in tmp_path.iterdir() if not one.is_dir()] == ["file"]


# The metric side


def test_the_metric_side_is_the_same_stream(services: Services, tmp_path: Path) -> None:
    dataset = generate_metric_data("documents", "small", seed=3)
    assert (len(dataset.keys), len(dataset)) == (25, 50_000)
    make_documents(tmp_path / "file", services, end=START + 1_999, seconds=2_000, seed=3)
    records = [json.loads(line) for line in (tmp_path / "file").read_bytes().splitlines()]
    series = {(one.key.metric_name, *one.key.labels.values()): one for one in dataset}
    for name in services.names:
        own = [record for record in records if record["service.name"] == name]
        assert series["latency_ms", name].values.tolist() == [record["latency_ms"] for record in own]
        for (metric, *labels), one in series.items():
            if metric == "http_responses_total" and labels[0] == name:
                hits = [record["http.status_code"] == int(labels[1]) for record in own]
                assert one.values.tolist() == np.cumsum(hits).tolist()
    amounts = [record["transaction"]["amount"] for record in records if "transaction" in record]
    assert series["transaction_amount", "payment"].values.tolist() == amounts
    assert dataset.timestamps[0] == START
