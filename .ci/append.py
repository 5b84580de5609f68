"""Read tables that append, with programs that are not ours: python .ci/append.py FOLDER...

A folder is what the test `append::many_vectors_…` leaves where RCM_READERS names one: a lake whose table `silver/history` has deletion
vectors, replaced more than once, in commits and in files, and `expected.parquet`, the rows that have to be in it. DuckDB, Polars and Spark
Connect (Sail, with its own Delta reader) must find them all, each row as often; deltalake's pyarrow reader must refuse the table, as
docs/append.md says. Prints a line a folder; exit 1 on any difference. Only counts are printed.
"""
import glob, json, os, sys
import polars as pl, pyarrow as pa, pyarrow.parquet as pq
from deltalake import DeltaTable
from readers import by_sail, connect

COLUMNS = "id, value, CAST(epoch_us(valid_from) AS BIGINT), CAST(epoch_us(valid_to) AS BIGINT), is_current"


def differences(con, name):
    expected, found = f"SELECT {COLUMNS} FROM expected", f"SELECT {COLUMNS} FROM {name}"
    return sum(con.execute(f"SELECT count(*) FROM ({a} EXCEPT ALL {b})").fetchone()[0] for a, b in ((expected, found), (found, expected)))


wrong = 0
for folder in sys.argv[1:]:
    path = f"{folder}/lake/silver/history"
    log = [json.loads(line) for file in sorted(glob.glob(f"{path}/_delta_log/*.json")) for line in open(file)]
    kinds = {(kind, vector["storageType"]) for action in log for kind, body in action.items() if kind in ("add", "remove")
             for vector in [body.get("deletionVector")] if vector}
    if "log" in os.path.basename(folder) and kinds != {(kind, place) for kind in ("add", "remove") for place in "iu"}:
        wrong += 1
        print(f"{folder}: the log adds and removes vectors of the kinds {sorted(kinds)} only")
    con = connect()
    con.execute("SET TimeZone = 'UTC'")
    expected = pq.read_table(f"{folder}/expected.parquet")
    polars = pl.read_delta(path).to_arrow()
    sail = pa.table(by_sail(path))
    con.execute(f"CREATE VIEW duckdb_rows AS FROM delta_scan('{path}')")
    found = {name: differences(con, table) for name, table in (("DuckDB", "duckdb_rows"), ("Polars", "polars"), ("Sail", "sail"))}
    try:
        DeltaTable(path).to_pyarrow_table()
        refused = False
    except Exception as e:
        refused = "deletionVectors" in str(e)
    wrong += sum(map(bool, found.values())) + (not refused)
    print(f"{os.path.basename(folder)}: {expected.num_rows} rows, {len(glob.glob(path + '/*.bin'))} files of vectors; rows that differ: "
          + ", ".join(f"{name} {n}" for name, n in found.items()) + f"; deltalake's pyarrow reader {'refuses' if refused else 'READS'} it")
sys.stdout.flush()
os._exit(wrong > 0)  # as readers.py: not by way of the threads of native libraries
