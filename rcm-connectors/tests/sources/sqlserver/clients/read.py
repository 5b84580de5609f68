"""A table as clients of others read it: JSON, a list of rows of texts. Arguments: client, port, database, user, password, the
authority's certificate, the server's own, and how: plain, on or strict."""

import datetime
import decimal
import json
import sys
import uuid

client, port, database, user, password, authority, leaf, how = sys.argv[1:]
SQL = "SELECT * FROM dbo.every ORDER BY n"


def text(value):
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case decimal.Decimal():
            return format(value, "f")
        case bytes() | bytearray():
            return value.hex()
        case uuid.UUID():
            return str(value).upper()
        case datetime.datetime() if value.tzinfo:
            return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat() + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)


if client == "python-tds":
    import pytds

    tls = {} if how == "plain" else {"cafile": authority}
    server = pytds.connect("localhost", database, user, password, port=int(port), timeout=10, login_timeout=10, **tls)
else:
    import mssql_python

    encrypt = {"plain": "no", "on": "yes", "strict": "strict"}[how]
    # The driver asks the system for authorities; in TDS 8.0 it takes the server's own certificate, byte for byte.
    trust = f"ServerCertificate={leaf};" if how == "strict" else "TrustServerCertificate=yes;"
    words = f"Server=127.0.0.1,{port};Database={database};UID={user};PWD={{{password}}};Encrypt={encrypt};{trust}"
    server = mssql_python.connect(words)
cursor = server.cursor()
cursor.execute(SQL)
print(json.dumps([[text(value) for value in row] for row in cursor.fetchall()]))
try:
    cursor.execute("SELECT 1 LIMIT 1")
    sys.exit("a statement that is no T-SQL runs")
except Exception as error:
    if "Incorrect syntax" not in str(error):
        raise
