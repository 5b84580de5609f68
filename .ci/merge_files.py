"""Check what the example `merge_files` writes against the same merge in SQL, by DuckDB, on the same files.

    python .ci/merge_files.py BINARY [--seed N]                               (a Python with .ci/requirements.txt)
    python .ci/merge_files.py BINARY --files CURRENT BATCH --keys a,b         (a workload of your own, of any size)

Without --files it makes one: 100,000 keys and a batch of 10,000, from a seed that it prints. The program runs on all
cores and on one. Every column of closes and opens must be equal, with names, order and types; so must the counts that
it prints. Messages name columns and counts, never a value. Exit 1 on any difference.
"""
import argparse, datetime as dt, json, os, secrets, subprocess, sys, tempfile
import duckdb, numpy as np, pyarrow as pa, pyarrow.parquet as pq

KEYS = ["patient_id", "hospital"]
META = ["valid_from", "valid_to", "is_current"]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
DAY = 86_400_000_000


# --- a workload

def money(cents):
    wide = np.stack([cents, np.where(cents < 0, -1, 0)], axis=1).astype("<i8")  # 128 bits, little-endian
    return pa.Array.from_buffers(pa.decimal128(18, 2), len(cents), [None, pa.py_buffer(wide.tobytes())])


def some_null(rng, values, share):
    return pa.array(values, mask=rng.random(len(values)) < share)


def keys(ids):
    """Three hospitals share the numbers of patients, and (P1, 11) and (P11, 1) are one text when they are joined."""
    hospital = np.array(["1", "11", "111"])[ids % 3]
    return {"patient_id": pa.array(np.char.mod("P%d", ids // 3)), "hospital": pa.array(hospital)}


def attributes(rng, n):
    name = np.char.mod("name %d", rng.integers(0, 5_000, n))
    address = np.char.mod("%d Main Street, Springfield, building north", rng.integers(1, 9_999, n))
    return {
        "name": pa.array(name),
        "address": some_null(rng, np.where(rng.random(n) < 0.02, "", address), 0.05),
        "born": some_null(rng, rng.integers(-20_000, 19_000, n).astype("int32"), 0.01).cast(pa.date32()),
        "balance": money(rng.integers(-10**9, 10**9, n)),
        "visits": some_null(rng, rng.integers(0, 9, n), 0.1),
    }


def workload(folder, seed, n=100_000, b=10_000):
    """CURRENT with closed versions and keys that have ended; BATCH with unchanged, changed, new and revived keys."""
    rng = np.random.default_rng(seed)
    t0, open_end = 19_000 * DAY, np.zeros(n, bool)
    open_end[rng.choice(n, n - n // 100, replace=False)] = True
    stamps = lambda values, mask=None: pa.array(values, pa.int64(), mask=mask).cast(pa.timestamp("us", tz="UTC"))
    ids = rng.permutation(n)
    live = pa.table({**keys(ids), **attributes(rng, n), "valid_from": stamps(t0 + rng.integers(0, DAY, n)),
                     "valid_to": stamps(np.full(n, t0 + 2 * DAY), open_end), "is_current": pa.array(open_end)})
    old = ids[: n // 10]
    past = pa.table({**keys(old), **attributes(rng, len(old)), "valid_from": stamps(np.full(len(old), t0 - 9 * DAY)),
                     "valid_to": stamps(np.full(len(old), t0)), "is_current": pa.array(np.zeros(len(old), bool))})
    current = pa.concat_tables([live, past])
    current = current.take(pa.array(rng.permutation(len(current))))

    n_new = b // 20
    taken = live.take(pa.array(rng.choice(n, b - n_new, replace=False))).drop_columns(META)
    fresh = pa.table(attributes(rng, len(taken)))
    for name in fresh.column_names:  # each column changes in some rows, to and from null too
        at = taken.column_names.index(name)
        both = pa.concat_arrays([taken[name].combine_chunks(), fresh[name].combine_chunks()])
        pick = np.arange(len(taken)) + np.where(rng.random(len(taken)) < 0.03, len(taken), 0)
        taken = taken.set_column(at, name, both.take(pa.array(pick)))
    new = pa.table({**keys(np.arange(n, n + n_new)), **attributes(rng, n_new)})
    batch = pa.concat_tables([taken, new]).take(pa.array(rng.permutation(b)))
    batch = batch.select(list(reversed(batch.column_names)))  # columns go by name
    files = [os.path.join(folder, name) for name in ("current.parquet", "batch.parquet")]
    for table, path in zip((current, batch), files):
        pq.write_table(table, path, compression="zstd", row_group_size=30_000)
    return files


# --- the merge in SQL

def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def names(con, view):
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {view}").fetchall()}


def listed(columns):
    return ", ".join(quoted(c) for c in columns)


def one(con, sql):
    return con.execute(sql).fetchone()[0]


def instant(micros):
    return (EPOCH + dt.timedelta(microseconds=micros)).isoformat(timespec="microseconds")


def merge(con, current, batch, key):
    """Makes the tables want_closes and want_opens; returns T and the counts."""
    for view, path in (("cur", current), ("bat", batch)):
        con.execute(f"CREATE VIEW {view} AS FROM read_parquet('{path.replace(chr(39), chr(39) * 2)}')")
    columns = list(names(con, "cur"))
    tracked = [c for c in columns if c not in key and c not in META]
    if set(columns) - set(META) != set(names(con, "bat")):
        sys.exit("the columns of the two files do not fit")
    for rows in ("cur WHERE is_current", "bat"):
        if one(con, f"SELECT count(*) FROM (SELECT 1 FROM {rows} GROUP BY {listed(key)} HAVING count(*) > 1)"):
            sys.exit(f"not a workload for this check: a key is there twice in {rows}")
    if one(con, f"SELECT count(*) FROM bat WHERE {' OR '.join(quoted(k) + ' IS NULL' for k in key)}"):
        sys.exit("not a workload for this check: a key is null in the batch")
    last = one(con, "SELECT max(greatest(epoch_us(valid_from), coalesce(epoch_us(valid_to), 0))) FROM cur")
    as_of = instant((last or 0) + DAY)
    on = " AND ".join(f"t.{quoted(k)} = s.{quoted(k)}" for k in key)
    differs = " OR ".join(f"t.{quoted(c)} IS DISTINCT FROM s.{quoted(c)}" for c in tracked) or "false"
    con.execute(f"CREATE TABLE todo AS SELECT s.*, t.valid_from AS since, "
                f"EXISTS (SELECT 1 FROM cur t WHERE {on}) AS known "
                f"FROM bat s LEFT JOIN cur t ON {on} AND t.is_current WHERE t.valid_from IS NULL OR {differs}")
    con.execute(f"CREATE TABLE want_closes AS SELECT {listed(key)}, since AS valid_from, "
                f"TIMESTAMPTZ '{as_of}' AS valid_to FROM todo WHERE since IS NOT NULL")
    opened = {"valid_from": f"TIMESTAMPTZ '{as_of}'", "valid_to": "NULL::TIMESTAMPTZ", "is_current": "true"}
    items = ", ".join(f"{opened.get(c, quoted(c))} AS {quoted(c)}" for c in columns)
    con.execute(f"CREATE TABLE want_opens AS SELECT {items} FROM todo")
    new, changed = con.execute("SELECT count(*) FILTER (NOT known), count(*) FILTER (known) FROM todo").fetchone()
    return as_of, {"changed": changed, "new": new, "unchanged": one(con, "SELECT count(*) FROM bat") - changed - new}


# --- the comparison

def compare(con, got, want, key):
    """What is different between two tables, in words."""
    if (have := list(names(con, got).items())) != (need := list(names(con, want).items())):
        return [f"columns are {have}, expected {need}"]
    without = lambda a, b: one(con, f"SELECT count(*) FROM (FROM {a} EXCEPT ALL FROM {b})")
    missing, extra = without(want, got), without(got, want)
    if not missing and not extra:
        return []
    rows = [one(con, f"SELECT count(*) FROM {table}") for table in (got, want)]
    found = [f"{rows[0]} rows, expected {rows[1]}; {missing} are missing, {extra} should not be there"]
    on = " AND ".join(f"g.{quoted(k)} = w.{quoted(k)}" for k in key)
    for column in names(con, want):
        wrong = one(con, f"SELECT count(*) FROM {got} g JOIN {want} w ON {on} "
                         f"WHERE g.{quoted(column)} IS DISTINCT FROM w.{quoted(column)}")
        found += [f"column {column} differs in {wrong} rows"] if wrong else []
    return found


def check(con, binary, current, batch, key, as_of, counts, threads, out):
    command = [binary, "--current", current, "--batch", batch, "--keys", ",".join(key), "--as-of", as_of, "--out", out]
    done = subprocess.run(command + (["--threads", str(threads)] if threads else []), capture_output=True, text=True)
    if done.returncode:
        return [f"exit {done.returncode}: {done.stderr.strip()}"]
    line = json.loads(done.stdout)
    print(f"   {done.stdout.strip()}")
    wrong = [f"{name} is {line[name]}, expected {count}" for name, count in counts.items() if line[name] != count]
    if threads and line["threads"] != threads:
        wrong.append(f"threads is {line['threads']}, expected {threads}")
    for table in ("closes", "opens"):
        con.execute(f"CREATE OR REPLACE TABLE {table} AS FROM read_parquet('{out}/{table}.parquet')")
        wrong += [f"{table}: {what}" for what in compare(con, table, f"want_{table}", key)]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--files", nargs=2, metavar=("CURRENT", "BATCH"))
    parser.add_argument("--keys", help="comma-separated; needed with --files, and only there")
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    if bool(given.files) != bool(given.keys) or given.files and given.seed is not None:
        parser.error("--files and --keys go together, and without --seed")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        key = given.keys.split(",") if given.keys else KEYS
        if given.files:
            current, batch = given.files
        else:
            seed = secrets.randbelow(2**32) if given.seed is None else given.seed
            print(f"seed {seed}")
            current, batch = workload(folder, seed)
        as_of, counts = merge(con, current, batch, key)
        closes, opens = (one(con, f"SELECT count(*) FROM want_{table}") for table in ("closes", "opens"))
        print(f"DuckDB {duckdb.__version__}: {counts}, {closes} closes, {opens} opens")
        if not given.files and not (min(counts.values()) and opens > closes + counts["new"]):
            sys.exit("FAILED: the generated workload lacks changed, new, unchanged or revived keys")
        wrong = []
        for threads in (None, 1):
            label = f"{threads} thread" if threads else "all cores"
            found = check(con, given.binary, current, batch, key, as_of, counts, threads, f"{folder}/{threads}")
            wrong += [f"{label}: {what}" for what in found]
    for what in wrong:
        print(f"FAILED: {what}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print("merge_files: closes and opens are those of DuckDB")


if __name__ == "__main__":
    main()
