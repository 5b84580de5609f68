#!/usr/bin/env bash
# The real services that tests start on loopback: into target/components Azurite (Azure Blob) from npm and moto (S3) from
# PyPI, and PostgreSQL from Debian; and clients of SQL Server that others wrote: tedious from npm, python-tds and mssql-python
# from PyPI, FreeTDS from Debian. Needs npm, node, python3 with venv, and root where Debian's packages are not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/components
mkdir -p "$to"
[ -x "$to/azurite/node_modules/.bin/azurite-blob" ] \
    || npm install --silent --no-audit --no-fund --prefix "$to/azurite" azurite@3.35.0
[ -x "$to/moto/bin/moto_server" ] || { python3 -m venv "$to/moto" && "$to/moto/bin/pip" install --quiet 'moto[server]==5.2.5'; }
ls /usr/lib/postgresql/*/bin/initdb > "$to/postgresql" 2>&1 || apt-get install --quiet --yes postgresql > "$to/postgresql"
[ -d "$to/tedious/node_modules/tedious" ] || npm install --silent --no-audit --no-fund --prefix "$to/tedious" tedious@19.2.2
[ -x "$to/clients/bin/python" ] || {
    python3 -m venv "$to/clients"
    "$to/clients/bin/pip" install --quiet python-tds==1.17.1 pyOpenSSL==26.4.0 mssql-python==1.16.0
}
[ -x /usr/bin/tsql ] && ldconfig -p | grep -q libltdl \
    || apt-get install --quiet --yes freetds-bin libltdl7 > "$to/freetds"
