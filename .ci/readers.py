"""Read a lake with five programs that are not ours, and judge it without ours.

    python .ci/readers.py LAKE [--expect-two-hospitals]      (a Python with .ci/requirements.txt; no network is used)

1. Every Delta table of silver, gold, quarantine and audit is read by DuckDB (its own Delta reader), Polars, pandas (by deltalake),
   deltalake to pyarrow, and Spark Connect (Sail). Rows, columns and the multiset of rows must be the same in all five.
2. DuckDB proves what history and gold promise (INVARIANTS below says it in SQL: each query counts what breaks the promise).
3. --expect-two-hospitals: the figures of the example's data after its first run, known from outside the program.

Prints a line a table, then what is broken; exit 1 on any difference. Only counts, sums and the names of tables and columns are printed,
never a value of a row; of a reader's error only the type, as its text may hold a value.
"""
import collections, datetime as dt, decimal, glob, importlib.util, math, os, sys, warnings
import duckdb, pandas as pd, polars as pl
from deltalake import DeltaTable

KEYS = {"departments": "hospital, department_id", "providers": "hospital, provider_id", "patients": "hospital, patient_id",
        "encounters": "hospital, encounter_id", "transactions": "hospital, transaction_id", "claims": "hospital, claim_id",
        "cpt_codes": "cpt_code", "icd_codes": "icd_code", "npi_registry": "npi"}
DIMENSIONS = {"patient_key": "dim_patient", "provider_key": "dim_provider", "department_key": "dim_department", "cpt_code": "dim_cpt_code"}
FACTS = {"transactions": ("transaction_key", ("amount", "paid_amount")), "encounters": ("encounter_key", ()),
         "claims": ("claim_key", ("claim_amount", "paid_amount", "deductible", "coinsurance", "copay"))}
# Which no fact meets by a key.
CODES = ("dim_icd_code", "dim_npi")
KPIS = ("kpi_provider_charges", "kpi_provider_month", "kpi_department_charges", "kpi_ar_aging", "kpi_denials")
EXPECTED_TABLES = sorted({f"{room}/{t}" for room in ("silver", "quarantine") for t in KEYS} | {f"gold/{t}" for t in (*DIMENSIONS.values(), *CODES)}
                         | {f"gold/fact_{t}" for t in FACTS} | {f"gold/{t}" for t in KPIS} | {"audit"})
EPOCH = dt.datetime(1970, 1, 1)


# --- five readers: path -> {column: list of Python values}

def connect():
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    folder = os.path.dirname(importlib.util.find_spec("duckdb_extension_delta").origin)
    con.load_extension(glob.glob(f"{folder}/extensions/v{duckdb.__version__}/delta.duckdb_extension")[0])
    return con


def by_duckdb(path):
    with connect() as con:
        con.execute(f"CREATE VIEW t AS FROM delta_scan('{quoted(path)}')")
        types = {r[0]: r[1] for r in con.execute("DESCRIBE t").fetchall()}
        # an instant leaves DuckDB as its microseconds, so that no time zone library has a say in it
        items = [f'epoch_us("{c}") || \' us\' AS "{c}"' if t == "TIMESTAMP WITH TIME ZONE" else f'"{c}"' for c, t in types.items()]
        rows = con.execute(f"SELECT {', '.join(items)} FROM t").fetchall()
    return dict(zip(types, zip(*rows))) if rows else {c: () for c in types}


def by_polars(path):
    return {s.name: s.to_list() for s in pl.read_delta(path)}


def by_pandas(path):
    frame = DeltaTable(path).to_pandas()
    return {c: [None if pd.api.types.is_scalar(v) and pd.isna(v) else v for v in frame[c]] for c in frame.columns}


def by_pyarrow(path):
    return DeltaTable(path).to_pyarrow_table().to_pydict()


SPARK = []  # the server and a session, once somebody asks


def by_sail(path):
    if not SPARK:
        warnings.simplefilter("ignore", FutureWarning)  # pyspark about pandas 3, which it is not asked for
        os.environ["RUST_LOG"] = "error"
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession
        server = SparkConnectServer()
        server.start()
        spark = SparkSession.builder.remote(f"sc://localhost:{server.listening_address[1]}").getOrCreate()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        SPARK.extend((spark, server))
    return SPARK[0].read.format("delta").load(path).toArrow().to_pydict()


READERS = {"duckdb": by_duckdb, "polars": by_polars, "pandas": by_pandas, "pyarrow": by_pyarrow, "sail": by_sail}


def quoted(path):
    return path.replace("'", "''")


# --- the same value, whoever read it

def plain(v):
    if v is None or isinstance(v, (str, bool)):
        return v
    if isinstance(v, decimal.Decimal):
        return f"{v:f}"
    if isinstance(v, dt.datetime):  # a pandas Timestamp too; no nanoseconds are lost, a Delta timestamp has none
        zone = " us" if v.tzinfo else " us without zone"
        utc = (v.astimezone(dt.timezone.utc) if v.tzinfo else v).replace(tzinfo=None)
        return f"{(utc - EPOCH) // dt.timedelta(microseconds=1)}{zone}"
    if isinstance(v, dt.date):
        return v.isoformat()
    if hasattr(v, "tolist"):  # numpy: a scalar, or the array of a list column
        return plain(v.tolist())
    if isinstance(v, float):
        return "NaN" if math.isnan(v) else int(v) if v.is_integer() else v  # pandas widens an integer column with nulls
    if isinstance(v, dict):
        return tuple((k, plain(x)) for k, x in sorted(v.items()))
    if isinstance(v, (list, tuple)):
        return tuple(map(plain, v))
    return v


def compare(path):
    """-> rows, columns, [differences]"""
    first, bad = None, []
    for name, read in READERS.items():
        try:
            table = {c: [plain(v) for v in values] for c, values in read(path).items()}
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as e:  # a panic in Polars is no Exception
            bad.append(f"{name} cannot read it: {type(e).__name__}")
            continue
        columns = sorted(table)
        rows = collections.Counter(zip(*(table[c] for c in columns)))
        if first is None:
            first = name, table, columns, rows
            continue
        other, other_table, other_columns, other_rows = first
        if columns != other_columns:
            bad.append(f"{name} and {other} differ in columns {sorted(set(columns) ^ set(other_columns))}")
        elif rows != other_rows:
            where = [c for c in columns if collections.Counter(table[c]) != collections.Counter(other_table[c])]
            bad.append(f"{name} has {rows.total()} rows and {other} has {other_rows.total()}; {(rows - other_rows).total()} and "
                       f"{(other_rows - rows).total()} have no counterpart; columns that differ: {where or 'each alone is equal'}")
    if first is None:
        return 0, 0, bad
    return first[3].total(), len(first[2]), bad


# --- what history and gold promise; each query counts the rows that break it

def invariants(tables, columns):
    """tables: the view names there are; columns: view -> its columns. -> (what, SQL that must give 0)"""
    for t, key in KEYS.items():
        s, q, null = f"silver_{t}", f"quarantine_{t}", " OR ".join(f"{c} IS NULL" for c in key.split(", "))
        if s in tables:
            yield f"{s}: keys with two current rows", f"SELECT count(*) FROM (SELECT {key} FROM {s} WHERE is_current GROUP BY ALL HAVING count(*) > 1)"
            yield f"{s}: versions that overlap the next", f"""SELECT count(*) FROM (SELECT valid_to, lead(valid_from) OVER (PARTITION BY {key}
                ORDER BY valid_from, valid_to) AS next FROM {s}) WHERE next IS NOT NULL AND (valid_to IS NULL OR next < valid_to)"""
            yield f"{s}: is_current is not 'valid_to is open'", f"SELECT count(*) FROM {s} WHERE is_current IS DISTINCT FROM (valid_to IS NULL)"
            yield f"{s}: intervals without length", f"SELECT count(*) FROM {s} WHERE valid_from IS NULL OR valid_from >= valid_to"
            yield f"{s}: surrogate keys missing or not unique", f"SELECT count(*) - count(DISTINCT surrogate_key) FROM {s}"
            yield f"{s}: rows without key", f"SELECT count(*) FROM {s} WHERE {null}"
            yield f"{s}: rows that belong in quarantine", f"SELECT count(*) FROM {s} WHERE is_quarantined IS DISTINCT FROM false"
        if q in tables:
            yield f"{q}: rows without reason", f"SELECT count(*) FROM {q} WHERE reasons IS NULL OR len(reasons) = 0 OR len(list_filter(reasons, lambda r: r IS NULL OR r = '')) > 0"
            yield f"{q}: rows not marked", f"SELECT count(*) FROM {q} WHERE is_quarantined IS DISTINCT FROM true"
    for key, d in DIMENSIONS.items():
        dim = f"gold_{d}"
        if dim not in tables:
            continue
        yield f"{dim}: keys missing or not unique", f"SELECT count(*) - count(DISTINCT {key}) FROM {dim}"
        yield f"{dim}: not exactly one unknown member", f"SELECT abs(count(*) - 1) FROM {dim} WHERE {key} = 'unknown'"
        for v in sorted(tables):
            if v != dim and (v.startswith("gold_fact_") or v == "gold_dim_provider") and key in columns[v]:
                yield f"{v}: {key} that {d} does not hold", f"SELECT count(*) FROM {v} f WHERE NOT EXISTS (FROM {dim} d WHERE d.{key} = f.{key})"
    for t, (key, money) in FACTS.items():
        fact, current = f"gold_fact_{t}", f"(FROM silver_{t} WHERE is_current)"
        if fact not in tables or f"silver_{t}" not in tables:
            continue
        yield f"{fact}: {key} missing or not unique", f"SELECT count(*) - count(DISTINCT {key}) FROM {fact}"
        yield f"{fact}: other rows than current silver", f"SELECT abs((SELECT count(*) FROM {fact}) - (SELECT count(*) FROM {current}))"
        for m in money:
            yield f"{fact}: sum({m}) is not that of current silver", f"SELECT ((SELECT sum({m}) FROM {fact}) IS DISTINCT FROM (SELECT sum({m}) FROM {current}))::INT"
    for k in ("gold_kpi_provider_charges", "gold_kpi_department_charges"):
        if k in tables and "gold_fact_transactions" in tables:
            yield f"{k}: sum(amount) is not that of the fact", f"SELECT ((SELECT sum(amount) FROM {k}) IS DISTINCT FROM (SELECT sum(amount) FROM gold_fact_transactions))::INT"


TWO_HOSPITALS = [(f"silver_{t}: current rows", f"SELECT count(*) FROM silver_{t} WHERE is_current", n) for t, n in {
    "patients": 9985, "providers": 55, "departments": 40, "encounters": 20000, "transactions": 20000, "claims": 20000, "cpt_codes": 1161}.items()] + [
    (f"gold_{t}: rows", f"SELECT count(*) FROM gold_{t}", n) for t, n in {"dim_patient": 9986, "dim_provider": 56, "dim_department": 41,
     "dim_cpt_code": 1162, "fact_transactions": 20000, "fact_encounters": 20000, "fact_claims": 20000}.items()] + [
    ("quarantine_patients: rows", "SELECT count(*) FROM quarantine_patients", 15),
    ("fact_transactions: sum(amount)", "SELECT sum(amount)::VARCHAR FROM gold_fact_transactions", "10490422.05"),
    ("fact_transactions: sum(amount) by hospital", "SELECT list(a ORDER BY h) FROM (SELECT hospital AS h, sum(amount)::VARCHAR AS a FROM gold_fact_transactions GROUP BY h)",
     ["5291605.16", "5198816.89"]),
    ("fact_transactions: sum(paid_amount)", "SELECT sum(paid_amount)::VARCHAR FROM gold_fact_transactions", "8196514.10"),
    ("fact_transactions: provider unknown", "SELECT count(*) FROM gold_fact_transactions WHERE provider_key = 'unknown'", 18970),
    ("fact_transactions: patient unknown", "SELECT count(*) FROM gold_fact_transactions WHERE patient_key = 'unknown'", 36)]


def main(lake, expect_two_hospitals):
    found = sorted(os.path.relpath(os.path.dirname(log), lake) for room in ("silver/*", "gold/*", "quarantine/*", "audit")
                   for log in glob.glob(f"{glob.escape(lake)}/{room}/_delta_log"))
    broken = [] if found else [f"no Delta table under {lake}"]
    for t in found:
        rows, columns, bad = compare(os.path.join(lake, t))
        print(f"{'DIFFERS' if bad else 'ok'} {t} {rows} rows {columns} columns", flush=True)
        broken += [f"{t}: {b}" for b in bad]
    if expect_two_hospitals:
        broken += [f"{t}: missing" for t in EXPECTED_TABLES if t not in found]

    con, columns, checked = connect(), {}, 0
    for t in found:
        v = t.replace("/", "_")
        try:
            con.execute(f"CREATE VIEW {v} AS FROM delta_scan('{quoted(os.path.join(lake, t))}')")
            columns[v] = [r[0] for r in con.execute(f"DESCRIBE {v}").fetchall()]
        except duckdb.Error:
            pass  # said above

    def ask(what, sql, want):
        try:
            got = con.execute(sql).fetchone()[0]
        except duckdb.Error as e:
            broken.append(f"{what}: not answered, {type(e).__name__}")
            return
        if got != want:
            broken.append(f"{what}: {got}, must be {want}")

    queries = [(what, sql, 0) for what, sql in invariants(set(columns), columns)] + (TWO_HOSPITALS if expect_two_hospitals else [])
    for q in queries:
        ask(*q)
    con.close()
    if broken:
        print("\n".join(f"broken: {b}" for b in broken))
        print(f"readers: {len(found)} tables, {len(broken)} differences")
        return 1
    print(f"invariants: {len(queries)} hold")
    print(f"readers: {len(found)} tables, {len(READERS)} readers, all equal")
    return 0


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "--expect-two-hospitals"]
    if len(args) != 1 or args[0].startswith("-"):
        sys.exit(__doc__)
    code = main(os.path.abspath(args[0]), "--expect-two-hospitals" in sys.argv)
    sys.stdout.flush()
    os._exit(code)  # the verdict stands: the threads of five native libraries must not abort the process on its way out
