"""PostgreSQL to Parquet: ours beside connector-x, DuckDB and ADBC, each in a fresh process, in turn.

    python benches/postgres.py [ROWS] [ROUNDS]        5,000,000 rows and 3 rounds by default

Makes a server of its own (Debian's newest) in a temporary folder, on a socket, fills a table and reads it whole. The server
runs on core 0, each reader on core 1 (taskset). All write Snappy, row groups of 122,880 rows. Readers that are not installed are
left out, and said: pip install connectorx adbc-driver-postgresql pyarrow duckdb duckdb-extensions
duckdb-extension-postgres-scanner. Ours: cargo build --release -p rcm-examples --no-default-features --features postgres
--example postgres_to_parquet. Seconds are of the whole process, its start included, best and worst; memory is its peak.
"""
import glob, json, os, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.join(HERE, "..", "target", "release", "examples", "postgres_to_parquet")
GROUP = 122880

TABLE = """CREATE TABLE transactions (id int8, patient_id text, hospital text, amount numeric(18,2), paid_amount numeric(18,2),
 service_date date, updated_at timestamptz, procedure_code text, line_of_business text, units int4, is_final bool);
INSERT INTO transactions SELECT n, 'PAT-' || lpad((n % 700000)::text, 9, '0'), 'hos-' || chr((97 + n % 5)::int),
 n * 7919 % 10000000 / 100.0, CASE WHEN n % 3 > 0 THEN n * 104729 % 5000000 / 100.0 END,
 date '2020-01-01' + (n % 2000)::int, timestamptz '2024-01-01Z' + n * interval '1 second', (10000 + n % 90000)::text,
 CASE WHEN n % 7 > 0 THEN 'Commercial' END, n % 20, n % 2 = 0 FROM generate_series(1::bigint, {rows}) n;
VACUUM ANALYZE transactions"""

PEERS = {
    "connectorx": """import connectorx, pyarrow.parquet as pq
t = connectorx.read_sql(URI, 'SELECT * FROM transactions', return_type='arrow')
pq.write_table(t, OUT, compression='snappy', row_group_size=GROUP)
print(connectorx.__version__)""",
    "adbc": """import adbc_driver_postgresql.dbapi as d, pyarrow.parquet as pq, importlib.metadata as m
c = d.connect(URI).cursor(); c.execute('SELECT * FROM transactions'); r = c.fetch_record_batch()
w = pq.ParquetWriter(OUT, r.schema, compression='snappy')
for b in r: w.write_batch(b, row_group_size=GROUP)
w.close(); print(m.version('adbc-driver-postgresql'))""",
    "duckdb": """import duckdb; from duckdb_extensions import import_extension
import_extension('postgres_scanner'); c = duckdb.connect(); c.execute('LOAD postgres_scanner')
c.execute(f"COPY (SELECT * FROM postgres_scan('{DSN}', 'public', 'transactions')) TO '{OUT}' (COMPRESSION snappy, ROW_GROUP_SIZE {GROUP})")
print(duckdb.__version__)""",
}


def main():
    rows, rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 3
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    with tempfile.TemporaryDirectory() as folder:
        drop = []
        if os.getuid() == 0:
            drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            subprocess.run(["chown", "postgres:postgres", folder], check=True)
        subprocess.run(drop + [f"{programs}/initdb", "-D", f"{folder}/data", "-U", "admin", "--auth=trust", "--no-sync",
                               "--encoding=UTF8", "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server = subprocess.Popen(["taskset", "-c", "0"] + drop + [
            f"{programs}/postgres", "-D", f"{folder}/data", "-p", "54329", "-h", "", "-k", folder, "-c", "fsync=off",
            "-c", "shared_buffers=1GB"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        try:
            psql = [f"{programs}/psql", "-h", folder, "-p", "54329", "-U", "admin", "-d", "postgres", "-qAt", "-c"]
            while subprocess.run(psql + ["SELECT 1"], capture_output=True).returncode:
                time.sleep(0.1)
            for statement in TABLE.format(rows=rows).split(";"):
                subprocess.run(psql + [statement], check=True)
            measure(folder, rows, rounds)
        finally:
            server.terminate()
            server.wait()


def measure(folder, rows, rounds):
    results = {}
    uri = f"postgresql://admin@localhost:54329/postgres?host={folder}"
    variables = f"URI={uri!r}; DSN={f'host={folder} port=54329 user=admin dbname=postgres'!r}; GROUP={GROUP}\n"
    commands = {"rcm": [OURS, folder, "54329", "postgres", "admin", "transactions"]}
    for name, script in PEERS.items():
        commands[name] = [sys.executable, "-c", "import sys; OUT = sys.argv[1]\n" + variables + script]
    for _ in range(rounds):
        for name, command in commands.items():
            out = f"{folder}/{name}.parquet"
            begun = time.perf_counter()
            child = subprocess.Popen(["taskset", "-c", "1"] + command + [out], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            said, failed = child.stdout.read(), child.stderr.read()
            _, status, used = os.wait4(child.pid, 0)
            if status:
                print(f"{name}: left out: {failed.decode().strip().splitlines()[-1]}")
                continue
            seconds = time.perf_counter() - begun
            result = results.setdefault(name, {"seconds": [], "cpu": [], "mib": [], "said": said.decode().strip()})
            result["seconds"].append(seconds)
            result["cpu"].append(used.ru_utime + used.ru_stime)
            result["mib"].append(used.ru_maxrss // 1024)
    for name, r in results.items():
        print(json.dumps({"reader": name, "rows": rows, "best_s": round(min(r["seconds"]), 2), "worst_s": round(max(r["seconds"]), 2),
                          "cpu_s": round(min(r["cpu"]), 2), "peak_mib": max(r["mib"]), "said": r["said"][-60:]}))
    same(folder, results)


def same(folder, results):
    """That all wrote the same values."""
    import duckdb
    sums = "SELECT count(*), sum(id), sum(amount::DECIMAL(18,2)), sum(paid_amount::DECIMAL(18,2)), count(line_of_business), " \
           "sum(length(patient_id)), epoch_us(max(updated_at)), max(service_date), sum(units), count(*) FILTER (is_final) FROM '{}'"
    answers = {name: duckdb.sql(sums.format(f"{folder}/{name}.parquet")).fetchall() for name in results}
    for name, answer in answers.items():
        print(name, "same" if answer == answers["rcm"] else answer)


main()
