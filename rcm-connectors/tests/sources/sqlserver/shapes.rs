//! The shapes of statements, in one place: those that an extractor sends, and those that no SQL Server takes.

use crate::server::Server as Postgres;
use crate::tds::prelogin::Encryption;
use crate::tds::server::{self, Mode, Options, Server};
use crate::wait;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

/// What runs, and how many rows it gives of the three in the table.
const RUN: [(&str, usize); 24] = [
    ("SELECT [Id], [Name], CAST([Price] AS decimal(19,4)) AS [Price] FROM [dbo].[Item]", 3),
    ("SELECT * FROM shop.dbo.ITEM WITH (NOLOCK) WHERE id > 1 ORDER BY ID", 2),
    ("SELECT * FROM shop..item AS i WHERE i.[Id] BETWEEN 2 AND 3", 2),
    ("SELECT TOP (2) * FROM Item WHERE Changed > '2024-01-01T00:00:00.0000001' ORDER BY Changed, Id", 2),
    ("SELECT TOP 1 Id FROM Item ORDER BY Id DESC", 1),
    ("SELECT * FROM Item WHERE Changed >= '2024-01-01' AND Changed < '2024-01-01T00:00:00.0000002'", 1),
    (
        "SELECT * FROM Item WHERE Changed > '2024-01-01T00:00:00.0000002' OR (Changed = '2024-01-01T00:00:00.0000002' AND Id > 1)",
        2,
    ),
    ("SELECT * FROM Item ORDER BY Id OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY", 1),
    ("SELECT MIN(Id), MAX(Id), COUNT_BIG(*) FROM Item", 1),
    ("SELECT MAX(Changed), MAX(Version), MIN(Guid) FROM Item", 1),
    ("SELECT * FROM Item WHERE Version > 0x0000000000000000 AND Version < MIN_ACTIVE_ROWVERSION()", 3),
    ("SELECT Name, COUNT(*) AS n FROM Item GROUP BY Name HAVING COUNT(*) > 1", 1),
    ("SELECT DISTINCT Name FROM Item", 2),
    ("SELECT * FROM Item WHERE Name = N'ANNA'", 2),
    ("SELECT * FROM Item WHERE Name IS NULL OR Name IN ('x', 'y')", 1),
    ("SELECT ISNULL(Name, N'-') AS Name, COALESCE(Price, 0) FROM Item", 3),
    ("SELECT CASE WHEN Price IS NULL THEN 1 ELSE 0 END FROM Item", 3),
    ("SELECT a.Id FROM Item a LEFT JOIN Item b ON b.Id = a.Id + 1 WHERE b.Id IS NULL", 1),
    ("SELECT * FROM Item AS i WHERE EXISTS (SELECT 1 FROM Item j WHERE j.Id > i.Id)", 2),
    ("SELECT SYSUTCDATETIME(), DB_NAME(), @@VERSION, DATEADD(minute, -5, SYSUTCDATETIME())", 1),
    ("SELECT name FROM sys.columns WHERE object_id = OBJECT_ID('dbo.item') AND is_nullable = 0", 5),
    ("SELECT i.name FROM sys.indexes i JOIN sys.tables t ON t.object_id = i.object_id WHERE t.name = 'item'", 1),
    ("SELECT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'Item' AND DATA_TYPE = 'DATETIME2'", 1),
    ("SET NOCOUNT ON; SET LOCK_TIMEOUT 1000; SELECT 1", 1),
];

/// What does not run, and the error.
const REFUSED: [(&str, u32); 17] = [
    ("UPDATE Item SET Name = N'x' LIMIT 1", 102),
    ("DELETE FROM Item ORDER BY Id LIMIT 1", 102),
    ("SELECT * EXCEPT (Id) FROM Item", 102),
    ("SELECT * FROM Item LIMIT 1", 102),
    ("SELECT Id::bigint FROM Item", 102),
    ("SELECT * FROM Item WHERE Name ILIKE 'a%'", 102),
    ("SELECT * FROM Item WHERE TRUE", 102),
    ("SELECT * FROM Item ORDER BY Id NULLS LAST", 102),
    ("SELECT NOW()", 195),
    ("SELECT * FROM Item WHERE Id = @x", 137),
    ("SELECT nothing FROM Item", 207),
    ("SELECT * FROM dbo.Nothing", 208),
    ("SELECT * FROM other.dbo.Item", 208),
    ("SELECT * FROM Item WHERE Changed > 'yesterday'", 241),
    ("SELECT CAST('x' AS int)", 245),
    ("SELECT CAST(1 AS jsonb)", 243),
    ("COMMIT", 3902),
];

#[test]
fn each_shape() {
    let Some(postgres) = Postgres::shared() else { return };
    wait(async {
        let database = server::database(&postgres).await;
        let table = "CREATE TABLE Item (Id int NOT NULL PRIMARY KEY, Name nvarchar(20) NULL, Price money NULL, \
                 Changed datetime2(7) NOT NULL, Guid uniqueidentifier NOT NULL, Version rowversion NOT NULL, Note varchar(9) NOT NULL)";
        database.execute(table).await.unwrap();
        let rows = "INSERT INTO Item (Id, Name, Price, Changed, Guid, Note) VALUES \
                (1, N'Anna', 1.5, '2024-01-01T00:00:00.0000001', '00000000-0000-0000-0000-000000000001', ''), \
                (2, N'anna', NULL, '2024-01-01T00:00:00.0000002', '00000000-0000-0000-0000-000000000002', ''), \
                (3, NULL, -2, '2024-01-01T00:00:00.0000003', '00000000-0000-0000-0000-000000000003', '')";
        database.execute(rows).await.unwrap();
        let server = Server::start(postgres, Options::new(Mode::Negotiated(Encryption::NotSupported))).await;
        let mut config = Config::new();
        config.host("127.0.0.1");
        config.port(server.port);
        config.database(&database.name);
        config.encryption(EncryptionLevel::NotSupported);
        config.authentication(AuthMethod::sql_server(&server.shared.options.user, &server.shared.options.password));
        let line = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let mut client = Client::connect(config, line.compat_write()).await.unwrap();
        let mut wrong = Vec::new();
        let ran = RUN.iter().map(|(sql, rows)| (*sql, Ok(*rows)));
        for (sql, expected) in ran.chain(REFUSED.iter().map(|(sql, error)| (*sql, Err(Some(*error))))) {
            let result = match client.simple_query(sql.replace("shop", &database.name)).await {
                Ok(stream) => stream.into_results().await.map(|results| results.last().map_or(0, Vec::len)),
                Err(error) => Err(error),
            };
            if result.as_ref().copied().map_err(|error| error.code()) != expected {
                wrong.push(format!("{sql}: {result:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
