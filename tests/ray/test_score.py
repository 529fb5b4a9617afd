"""`python -m app score --ray`: on many machines what one makes of a table, and one of them may die."""

from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.score import command
from tests import graphs
from tests.ray.conftest import Nodes
from tests.serving import wait_until

ROWS, PIECES = 400, 40


def given(folder: Path) -> Path:
    graphs.add_to_repository(folder / "models", "m", graphs.slow(60))
    rng = np.random.default_rng(1)
    table = pa.table({"id": np.arange(ROWS), "x": rng.normal(size=ROWS).astype(np.float32)})
    pq.write_table(table, folder / "in.parquet", row_group_size=ROWS // PIECES)
    return folder / "in.parquet"


def score(folder: Path, name: str, *flags: str) -> Path:
    wanted = folder / name
    arguments = ["m", str(given(folder) if not (folder / "in.parquet").exists() else folder / "in.parquet")]
    assert command.main([*arguments, str(wanted), "--models", str(folder / "models"), *flags]) == 0
    return wanted


def test_a_node_dies_and_the_result_is_that_of_one_machine(nodes: Nodes, tmp_path: Path) -> None:
    alone = pq.read_table(score(tmp_path, "alone.parquet"))
    work = Thread(target=score, args=(tmp_path, "many.parquet", "--ray", nodes.cluster.address))
    work.start()
    parts = tmp_path / "many.parquet.partial"
    wait_until(lambda: len(list(parts.glob("part-*.parquet"))) > 2, "no parts came")
    nodes.kill_last()
    work.join(timeout=120)
    nodes.add()
    assert not parts.exists()
    assert pq.read_table(tmp_path / "many.parquet").equals(alone)
