#!/usr/bin/env bash
# The real services that tests start on loopback: into target/components Azurite (Azure Blob) from npm and moto (S3) from
# PyPI, and PostgreSQL from Debian. Needs npm, python3 with venv, and root where PostgreSQL is not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/components
mkdir -p "$to"
[ -x "$to/azurite/node_modules/.bin/azurite-blob" ] \
    || npm install --silent --no-audit --no-fund --prefix "$to/azurite" azurite@3.35.0
[ -x "$to/moto/bin/moto_server" ] || { python3 -m venv "$to/moto" && "$to/moto/bin/pip" install --quiet 'moto[server]==5.2.5'; }
ls /usr/lib/postgresql/*/bin/initdb > "$to/postgresql" 2>&1 || apt-get install --quiet --yes postgresql > "$to/postgresql"
