"""Another engine (PyPI deltalake) writes to a table of a lake between two runs: what docs/guarantees.md says happens.

python3 .ci/foreign.py RCM      (a Python with .ci/requirements.txt; no network is used)"""

import os
import shutil
import subprocess
import sys
import tempfile

from deltalake import DeltaTable, write_deltalake
from deltalake.schema import Field, PrimitiveType

rcm = os.path.abspath(sys.argv[1])
TABLE = "lake/silver/patients"
PATIENTS = "landing/emr/hos-a/patients.csv"


def run(project, *arguments):
    return subprocess.run([rcm, "-c", f"{project}/rcm.toml", *arguments], capture_output=True, text=True)


def deliver(project, patient):
    with open(f"{project}/{PATIENTS}") as file:
        row = file.read().splitlines()[1]
    with open(f"{project}/{PATIENTS}", "a") as file:
        file.write(f"PAT-{patient}," + row.split(",", 1)[1] + "\n")


def history(project):
    """The rows that a reader sees, without the columns that say when they were written."""
    table = DeltaTable(f"{project}/{TABLE}").to_pyarrow_table()
    columns = [c for c in table.column_names if c not in ("inserted_at", "source_read_at", "source_place", "run_id")]
    return sorted(map(repr, table.select(sorted(columns)).to_pylist()))


def append(table):
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")


def compact(table):
    table.optimize.z_order(["patient_id"])


def vacuum(table):
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def alter(table):
    table.alter.add_columns([Field("motto", PrimitiveType("string"))])


def restore(table):
    table.restore(0)


def again(table):
    write_deltalake(table, table.to_pyarrow_table().slice(0, 3), mode="overwrite")


def anew(table):
    path, rows = table.table_uri.removeprefix("file://"), table.to_pyarrow_table().slice(0, 3)
    shutil.rmtree(path)
    write_deltalake(path, rows)


with tempfile.TemporaryDirectory() as folder:
    base, clean = f"{folder}/base", f"{folder}/clean"
    assert subprocess.run([rcm, "init", base], capture_output=True).returncode == 0
    for day, patient in enumerate([900001, 900002], 29):
        deliver(base, patient)
        assert run(base, "run", "--as-of", f"2026-06-{day}T00:00:00Z").returncode == 0
    shutil.copytree(base, clean)
    deliver(clean, 900003)
    assert run(clean, "run", "--as-of", "2026-07-01T00:00:00Z").returncode == 0
    for what, is_taken in [(append, False), (compact, True), (vacuum, True), (alter, False), (restore, False), (again, False), (anew, False)]:
        project = f"{folder}/{what.__name__}"
        shutil.copytree(base, project)
        before = DeltaTable(f"{project}/{TABLE}").version()
        what(DeltaTable(f"{project}/{TABLE}"))
        after = DeltaTable(f"{project}/{TABLE}").version()
        assert after != before, f"{what.__name__} committed nothing"
        deliver(project, 900003)
        said = run(project, "run", "--as-of", "2026-07-01T00:00:00Z")
        if not is_taken:
            assert said.returncode == 4, f"{what.__name__}: {said.returncode} {said.stderr}"
            assert "rcm run --full-refresh --select patients" in said.stderr, said.stderr
            said = run(project, "run", "--full-refresh", "--select", "patients", "--as-of", "2026-07-01T00:00:00Z")
        assert said.returncode == 0, f"{what.__name__}: {said.stderr}"
        # A rebuild replays what was read; what came since is read by the next run.
        assert run(project, "run", "--as-of", "2026-07-02T00:00:00Z").returncode == 0
        assert history(project) == history(clean), f"{what.__name__}: another history"
        print(f"{what.__name__:8} by deltalake: {'taken as it is' if is_taken else 'refused, rebuilt'}; history is that of a run without it")
