"""The whole pipeline, as the peers' measure.py and check.py see it.

    python benches/e2e.py WORKLOAD LAKE DAY           one day (1 | 2) of a scaled workload; prints one JSON line last
    python benches/e2e.py --check SHARED [FACTOR]     makes the workload (FACTOR 1 by default), runs day 1 and day 2,
                                                      compares each with SHARED/peers/e2e/check.py; exit 1 on a difference
    python SHARED/peers/e2e/measure.py $PWD/benches/e2e.py WORKLOAD LAKE 3     timed

RCM_BIN names the program (default: target/debug/rcm of this repository; measure a release build). --check needs what check.py
needs: run it under a Python that has .ci/requirements.txt. The imports here are few, as they are in the measured time.
"""
import json, os, shutil, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(HERE)
AS_OF = "2024-12-31T00:00:00Z"  # the day on which the workload judges the age of a receivable


def day(workload, lake, n):
    workload, lake = os.path.abspath(workload), os.path.abspath(lake)
    rcm = os.environ.get("RCM_BIN") or os.path.join(REPO, "target", "debug", "rcm")
    command = [rcm, "-c", os.path.join(REPO, "examples", "two-hospitals", "rcm.toml"), "--var", f"data={workload}/day{n}",
               "--var", f"lake={lake}", "--json", "run", "--as-of", AS_OF]
    os.makedirs(lake, exist_ok=True)
    t0 = time.perf_counter()
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as e:
        sys.exit(f"cannot start {rcm}: {e.strerror}; build it or set RCM_BIN")
    inside = time.perf_counter() - t0
    if run.returncode:
        sys.stderr.write(run.stderr or run.stdout)
        sys.exit(run.returncode if run.returncode > 0 else 1)
    shutil.copy(os.path.join(HERE, "check.sql"), lake)
    print(json.dumps({"engine": "rcm", "day": int(n), "inside_s": round(inside, 2)}))


def check(shared, factor):
    import tempfile
    peers = os.path.join(shared, "peers", "e2e")

    def python(*args):
        return subprocess.run([sys.executable, *args]).returncode

    with tempfile.TemporaryDirectory(prefix="rcm-e2e-") as tmp:
        workload, lake = os.path.join(tmp, "workload"), os.path.join(tmp, "lake")
        if python(os.path.join(peers, "scale_workload.py"), os.path.join(shared, "data", "two-hospitals"), workload, factor):
            sys.exit("the workload could not be made")
        os.makedirs(lake)
        for n in ("1", "2"):
            if python(os.path.abspath(__file__), workload, lake, n):
                sys.exit(f"day {n}: the program failed")
            if python(os.path.join(peers, "check.py"), workload, lake, n):
                sys.exit(f"day {n}: differs from what the workload expects")
    print(f"e2e: two days at factor {factor} as expected")


if __name__ == "__main__":
    args = sys.argv[1:]
    if args[:1] == ["--check"] and len(args) in (2, 3):
        check(args[1], args[2] if len(args) == 3 else "1")
    elif len(args) == 3 and args[2] in ("1", "2"):
        day(*args)
    else:
        sys.exit(__doc__)
