// A table as tedious reads it: JSON, a list of rows of texts. Arguments as read.py's, without the client.
const fs = require('fs');
const { Connection, Request } = require('tedious');
const [port, database, userName, password, authority, , how] = process.argv.slice(2);
const text = (value) => {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (value instanceof Date) return value.toISOString();
  return String(value);
};
const options = {
  port: Number(port), database, useUTC: true, serverName: 'localhost', rowCollectionOnRequestCompletion: true,
  encrypt: { plain: false, on: true, strict: 'strict' }[how], trustServerCertificate: false,
  cryptoCredentialsDetails: { ca: fs.readFileSync(authority) },
};
const server = new Connection({ server: '127.0.0.1', authentication: { type: 'default', options: { userName, password } }, options });
const run = (sql) => new Promise((resolve, reject) => {
  server.execSql(new Request(sql, (error, _, rows) => (error ? reject(error) : resolve(rows))));
});
server.connect(async (error) => {
  if (error) throw error;
  const rows = await run('SELECT * FROM dbo.every ORDER BY n');
  console.log(JSON.stringify(rows.map((row) => row.map((cell) => text(cell.value)))));
  const refused = await run('SELECT 1 LIMIT 1').then(() => null, (error) => error.number);
  if (refused !== 102) throw new Error(`a statement that is no T-SQL: ${refused}`);
  server.close();
});
