"""Every call by which a run, or maintenance, changes the lake is one that the crash sweeps number.

python3 .ci/strace.py TEST_BINARY RCM: the binary of rcm-cli's tests (it lists the numbered calls of a run) and the program.
The kernel's own list is strace's."""

import collections
import os
import re
import subprocess
import sys
import tempfile

binary, rcm = sys.argv[1:3]
CHANGES = "openat,open,creat,mkdir,mkdirat,link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,mknod,mknodat"
VERBS = {"mkdir": "make_folder", "mkdirat": "make_folder", "link": "link", "linkat": "link", "unlink": "remove", "unlinkat": "remove"}


def changed(folder, lake):
    """(verb, path) of what succeeded below the lake; a file a thread, so that no call is cut in two."""
    lines = (line for name in os.listdir(folder) for line in open(os.path.join(folder, name), errors="replace"))
    for line in lines:
        call = re.match(r"(\w+)\((.*)\) += (\d+)", line)
        if not call:
            assert re.match(r"\w+\(.*\) += -1 |\+\+\+ |--- ", line), f"not understood: {line[:40]}"
            continue
        name, arguments = call[1], call[2]
        paths = [p for p in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments) if p.startswith(lake + "/") or p == lake]
        if not paths:
            continue
        path = paths[-1]
        if name in ("openat", "open", "creat"):
            if "O_EXCL" in arguments:
                yield "create", path
            elif "O_CREAT" in arguments or name == "creat":
                yield "open_lock", path
            elif "O_WRONLY" in arguments or "O_RDWR" in arguments:
                yield "sync", path
        else:
            yield VERBS.get(name, name), path


with tempfile.TemporaryDirectory() as folder:
    project = os.path.join(folder, "project")
    lake = os.path.join(project, "lake")
    subprocess.run([rcm, "init", project], check=True, stdout=subprocess.DEVNULL)
    config = os.path.join(project, "rcm.toml")
    text = open(config).read().replace("keep_publishes = 100", "keep_publishes = 1")
    open(config, "w").write(text)
    patients = os.path.join(project, "landing/emr/hos-a/patients.csv")
    for what in ["2026-06-29T00:00:00Z", "2026-06-30T00:00:00Z", "maintain"]:
        trace = tempfile.mkdtemp(dir=folder)
        done = subprocess.run(
            ["strace", "-ff", "-qq", "-s", "4096", "-e", "trace=" + CHANGES, "-o", os.path.join(trace, "thread"), binary, "--exact", "crash::child", "--nocapture"],
            env={**os.environ, "RCM_CRASH_RUN": f"{what} 1 0 list  {project}"}, capture_output=True, text=True, check=True)
        numbered = collections.Counter(tuple(line.split(" ", 2)[1:]) for line in done.stdout.splitlines() if line.startswith("CALL "))
        seen = collections.Counter(changed(trace, lake))
        missing = {call: n for call, n in seen.items() if n > numbered[call]}
        assert len(seen) > 20, f"{what}: only {len(seen)} calls were seen"
        assert not missing, f"{what}: not numbered: {missing}"
        print(f"{what}: {sum(seen.values())} calls that change the lake, all numbered")
        rows = open(patients).read().splitlines()
        open(patients, "a").write(rows[1] + "\n")
