"""`python -m app score` on a large table beside onnxruntime in a process that does nothing else.

    python -m benchmarks.scoring [--rows N] [--model NAME]

Writes a Parquet table of made-up rows within the model's ranges, scores it through the command, once whole and once
killed with -9 half-way and resumed, and compares: rows a second, memory while it runs, and the two results to the last
bit. onnxruntime reads the same table by pyarrow, in batches of the same size, and writes one column.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from app.inference.threads import cores
from app.manifest import Manifest, read_manifest
from benchmarks.networks import CACHE

ROOT = Path(__file__).parents[1]
SEED = 20261128
ROWS_AT_ONCE = 500_000
BATCH = 8192


def made(place: Path, manifest: Manifest, rows: int) -> None:
    """The table: a column a feature, uniform within its range, and an id."""
    rng = np.random.default_rng(SEED)
    writer = None
    for start in tqdm(range(0, rows, ROWS_AT_ONCE), "writing the table", file=sys.stderr):
        count = min(ROWS_AT_ONCE, rows - start)
        columns: dict[str, np.ndarray] = {"id": np.arange(start, start + count)}
        for feature in manifest.features:
            low, high = feature.minimum or 0, feature.maximum or 1
            values = rng.uniform(low, high, count).astype(np.float32)
            columns[feature.name] = np.rint(values).astype(np.int64) if feature.kind == "integer" else values
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(place, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()


def command(model: str, given: Path, wanted: Path) -> "subprocess.Popen[bytes]":
    """The command under way."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "app", "score", model, str(given), str(wanted)], cwd=ROOT, stderr=subprocess.DEVNULL
    )


def watched(process: "subprocess.Popen[bytes]") -> list[float]:
    """MiB of memory of its own, every half a second until it ends."""
    seen, told = [], psutil.Process(process.pid)
    while process.poll() is None:
        try:
            seen.append((told.memory_info().rss - told.memory_info().shared) / 2**20)
        except psutil.Error:
            break
        time.sleep(0.5)
    if process.wait():
        raise RuntimeError(f"the command ended with {process.returncode}")
    return seen


def alone(graph: Path, manifest: Manifest, given: Path, wanted: Path) -> None:
    """The same by hand: pyarrow, numpy, onnxruntime on as many threads as there are cores."""
    session = ort.InferenceSession(graph, _single(), providers=["CPUExecutionProvider"])
    [one] = manifest.inputs
    names = [feature.name for feature in one.features]
    output = manifest.outputs[0].tensor

    def run(batch: pa.RecordBatch) -> pa.Table:
        rows = np.stack([batch.column(name).to_numpy() for name in names], 1).astype(np.float32)
        [found] = session.run([output], {one.tensor: rows})
        return pa.table({"id": batch.column("id"), output: found.reshape(len(rows), -1)[:, -1]})

    def batches() -> Iterator[pa.RecordBatch]:
        yield from pq.ParquetFile(given).iter_batches(BATCH)

    with ThreadPoolExecutor(cores()) as pool:
        writer, waiting = None, []
        for batch in batches():
            waiting.append(pool.submit(run, batch))
            if len(waiting) == 16:
                table = pa.concat_tables([one.result() for one in waiting])
                writer = writer or pq.ParquetWriter(wanted, table.schema)
                writer.write_table(table)
                waiting = []
        assert writer
        if waiting:
            writer.write_table(pa.concat_tables([one.result() for one in waiting]))
        writer.close()


def _single() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--model", default="diabetes", help="of models/: one whose features are numbers")
    asked = parser.parse_args()
    [version] = sorted((ROOT / "models" / asked.model).glob("*/manifest.json"))[-1:]
    manifest = read_manifest(version)
    assert manifest
    folder = CACHE / "scoring"
    folder.mkdir(parents=True, exist_ok=True)
    given = folder / f"{asked.model}-{asked.rows}.parquet"
    if not given.exists():
        made(given, manifest, asked.rows)
    whole, resumed, by_hand = (folder / f"{name}.parquet" for name in ("whole", "resumed", "by-hand"))
    for place in (whole, resumed, by_hand):
        place.unlink(missing_ok=True)

    began = time.perf_counter()
    alone(version.with_name("model.onnx"), manifest, given, by_hand)
    by_hand_s = time.perf_counter() - began
    began = time.perf_counter()
    memory = watched(command(asked.model, given, whole))
    whole_s = time.perf_counter() - began
    first = command(asked.model, given, resumed)
    time.sleep(whole_s / 2)
    first.kill()
    first.wait()
    parts = len(list(folder.glob("resumed.parquet.partial/part-*.parquet")))
    began = time.perf_counter()
    watched(command(asked.model, given, resumed))
    rest_s = time.perf_counter() - began
    same = pq.read_table(whole).equals(pq.read_table(resumed))
    half = len(memory) // 2
    print(f"| {asked.rows:,} rows of {asked.model} | rows/s | seconds |\n| --- | ---: | ---: |")
    print(f"| onnxruntime by hand | {asked.rows / by_hand_s:,.0f} | {by_hand_s:.1f} |")
    print(f"| python -m app score | {asked.rows / whole_s:,.0f} | {whole_s:.1f} |")
    print(f"\nratio {by_hand_s / whole_s:.2f}; memory of its own, MiB: ", end="")
    print(f"{max(memory[:half]):.0f} at most in the first half, {max(memory[half:]):.0f} in the second")
    print(f"killed after {whole_s / 2:.1f} s with {parts} parts done, resumed in {rest_s:.1f} s; equal: {same}")


if __name__ == "__main__":
    main()
