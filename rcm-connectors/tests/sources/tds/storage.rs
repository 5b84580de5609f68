//! PostgreSQL under the engine: how each type of SQL Server lies in it, and what a database holds from its start.
//!
//! Dates and times are 100 ns since the year 1 in a `bigint`: PostgreSQL has microseconds only, and the seventh digit is
//! what a client must not lose. A `datetimeoffset` is such a count in UTC with its minutes. The bytes of a
//! `uniqueidentifier` lie in the order in which SQL Server compares them. Texts compare without case. A `rowversion` comes
//! from one sequence; the first of a transaction leaves an advisory lock on what the sequence was before, by which
//! `MIN_ACTIVE_ROWVERSION()` finds it while the transaction is open.

use super::types::Type;

/// The type in PostgreSQL.
pub(crate) fn stored(of: &Type) -> String {
    match of {
        Type::Bit | Type::TinyInt | Type::SmallInt => "smallint".into(),
        Type::Int => "integer".into(),
        Type::BigInt => "bigint".into(),
        Type::Decimal(precision, scale) | Type::Numeric(precision, scale) => format!("numeric({precision},{scale})"),
        Type::Money => "numeric(19,4)".into(),
        Type::SmallMoney => "numeric(10,4)".into(),
        Type::Real => "real".into(),
        Type::Float => "double precision".into(),
        Type::DateTimeOffset(_) => "tds.offset_time".into(),
        Type::Char(length) | Type::NChar(length) => format!("character({length})"),
        Type::VarChar(Some(length)) | Type::NVarChar(Some(length)) => format!("character varying({length})"),
        Type::UniqueIdentifier => "bytea".into(),
        of if of.is_temporal() => "bigint".into(),
        of if of.is_bytes() => "bytea".into(),
        _ => "text".into(),
    }
}

/// With the collation, as a column is declared.
pub(crate) fn declared(of: &Type) -> String {
    match of.is_text() && *of != Type::Xml {
        true => format!("{} COLLATE tds.ci", stored(of)),
        false => stored(of),
    }
}

/// What makes a new database into one of the engine's.
pub(crate) const START: &str = r#"
CREATE SCHEMA tds;
CREATE SCHEMA dbo;
CREATE SCHEMA sys;
CREATE SCHEMA "INFORMATION_SCHEMA";
CREATE COLLATION tds.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE tds.offset_time AS (ticks bigint, minutes smallint);
CREATE SEQUENCE tds.rowversion START 2000;
SELECT nextval('tds.rowversion');
CREATE TABLE tds.objects (object_id integer GENERATED ALWAYS AS IDENTITY (START 245575913 INCREMENT 16) PRIMARY KEY,
    schema_name text COLLATE tds.ci NOT NULL, name text COLLATE tds.ci NOT NULL,
    type character(2) NOT NULL DEFAULT 'U', is_external smallint NOT NULL DEFAULT 0, is_memory_optimized smallint NOT NULL DEFAULT 0,
    UNIQUE (schema_name, name));
CREATE TABLE tds.policies (target_object_id integer NOT NULL);
CREATE TABLE tds.columns (schema_name text COLLATE tds.ci NOT NULL, table_name text COLLATE tds.ci NOT NULL, name text COLLATE tds.ci NOT NULL,
    column_id integer NOT NULL, type text NOT NULL, type_name text NOT NULL, max_length smallint NOT NULL,
    precision smallint NOT NULL, scale smallint NOT NULL, nullable boolean NOT NULL, is_identity boolean NOT NULL,
    code_page integer NOT NULL DEFAULT 1252, is_masked smallint NOT NULL DEFAULT 0, encryption_type integer, PRIMARY KEY (schema_name, table_name, name));
CREATE TABLE tds.indexes (schema_name text COLLATE tds.ci NOT NULL, table_name text COLLATE tds.ci NOT NULL, index_id integer NOT NULL, name text COLLATE tds.ci NOT NULL,
    is_unique boolean NOT NULL, is_primary_key boolean NOT NULL, PRIMARY KEY (schema_name, table_name, index_id));
CREATE TABLE tds.index_columns (schema_name text COLLATE tds.ci NOT NULL, table_name text COLLATE tds.ci NOT NULL, index_id integer NOT NULL,
    key_ordinal integer NOT NULL, column_name text COLLATE tds.ci NOT NULL, is_descending boolean NOT NULL);
CREATE TABLE tds.types (name text COLLATE tds.ci NOT NULL, system_type_id smallint NOT NULL, user_type_id integer NOT NULL);
INSERT INTO tds.types VALUES ('image',34,34),('text',35,35),('uniqueidentifier',36,36),('date',40,40),('time',41,41),
    ('datetime2',42,42),('datetimeoffset',43,43),('tinyint',48,48),('smallint',52,52),('int',56,56),
    ('smalldatetime',58,58),('real',59,59),('money',60,60),('datetime',61,61),('float',62,62),('sql_variant',98,98),
    ('ntext',99,99),('bit',104,104),('decimal',106,106),('numeric',108,108),('smallmoney',122,122),('bigint',127,127),
    ('hierarchyid',240,128),('geometry',240,129),('geography',240,130),('varbinary',165,165),('varchar',167,167),
    ('binary',173,173),('char',175,175),('timestamp',189,189),('nvarchar',231,231),('nchar',239,239),('xml',241,241);

CREATE FUNCTION tds.now() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT 621355968000000000 + (extract(epoch FROM clock_timestamp()) * 10000000)::bigint $$;
CREATE FUNCTION tds.ticks(at timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT 621355968000000000 + (extract(epoch FROM at) * 10000000)::bigint $$;
CREATE FUNCTION tds.of_ticks(ticks bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
    $$ SELECT '1970-01-01'::timestamp + (ticks - 621355968000000000) / 10 * '1 microsecond'::interval $$;
CREATE FUNCTION tds.local_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT tds.ticks(clock_timestamp()::timestamp) $$;
CREATE TABLE tds.zones (name text COLLATE tds.ci PRIMARY KEY, zone text NOT NULL);
INSERT INTO tds.zones VALUES ('UTC', 'UTC'), ('Pacific Standard Time', 'America/Los_Angeles'), ('India Standard Time', 'Asia/Kolkata');
CREATE FUNCTION tds.zone(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT zone FROM tds.zones WHERE name = wanted);
END $$;
CREATE FUNCTION tds.in_zone(utc bigint, wanted text) RETURNS tds.offset_time LANGUAGE plpgsql AS $$
DECLARE
    shown timestamp := tds.of_ticks(utc) AT TIME ZONE 'UTC' AT TIME ZONE tds.zone(wanted);
BEGIN
    IF shown IS NULL THEN RAISE EXCEPTION 'invalid time zone' USING ERRCODE = '22023'; END IF;
    RETURN ROW(utc, extract(epoch FROM shown - tds.of_ticks(utc)) / 60)::tds.offset_time;
END $$;
CREATE FUNCTION tds.of_zone(local bigint, wanted text) RETURNS tds.offset_time LANGUAGE plpgsql AS $$
DECLARE
    at timestamp := (tds.of_ticks(local) AT TIME ZONE tds.zone(wanted)) AT TIME ZONE 'UTC';
BEGIN
    IF at IS NULL THEN RAISE EXCEPTION 'invalid time zone' USING ERRCODE = '22023'; END IF;
    RETURN ROW(local - (extract(epoch FROM tds.of_ticks(local) - at) * 10000000)::bigint,
        extract(epoch FROM tds.of_ticks(local) - at) / 60)::tds.offset_time;
END $$;
CREATE FUNCTION tds.eight(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT int8send(n) $$;
CREATE FUNCTION tds.big(b bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('x' || lpad(right(encode(b, 'hex'), 16), 16, '0'))::bit(64)::bigint $$;
CREATE FUNCTION tds.version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('tds.active', true), '') <> pg_current_xact_id()::text THEN
        PERFORM pg_advisory_xact_lock_shared(77, (SELECT last_value::integer FROM tds.rowversion));
        PERFORM set_config('tds.active', pg_current_xact_id()::text, true);
    END IF;
    NEW := jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0],
        '\x' || encode(int8send(nextval('tds.rowversion')), 'hex')));
    RETURN NEW;
END $$;
CREATE FUNCTION tds.last_version() RETURNS bigint LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN RETURN (SELECT last_value FROM tds.rowversion); END $$;
CREATE FUNCTION tds.min_active() RETURNS bytea LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    newest bigint := tds.last_version();
    lowest bigint;
BEGIN
    -- The sequence first, the locks then: a lock that is not seen was taken later, and its versions are above.
    SELECT min(objid::bigint) INTO lowest FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 77
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN int8send(least(newest, lowest) + 1);
END $$;

CREATE TABLE tds.settings (snapshots smallint NOT NULL, versions smallint NOT NULL, unmask integer NOT NULL, updateability text NOT NULL);
INSERT INTO tds.settings VALUES (1, 1, 0, 'READ_WRITE');
CREATE VIEW sys.databases AS SELECT current_database()::text COLLATE tds.ci AS name, 5 AS database_id,
    snapshots AS snapshot_isolation_state, versions AS is_read_committed_snapshot_on FROM tds.settings;
CREATE VIEW sys.dm_tran_active_transactions AS SELECT pid::bigint AS transaction_id, tds.ticks(xact_start::timestamp) AS transaction_begin_time
    FROM pg_stat_activity WHERE xact_start IS NOT NULL AND datname = current_database();
CREATE VIEW sys.dm_tran_database_transactions AS SELECT pid::bigint AS transaction_id, 5 AS database_id,
    CASE WHEN backend_xid IS NOT NULL THEN tds.ticks(xact_start::timestamp) END AS database_transaction_begin_time
    FROM pg_stat_activity WHERE xact_start IS NOT NULL AND datname = current_database();
CREATE VIEW sys.schemas AS SELECT name COLLATE tds.ci AS name, n AS schema_id FROM (VALUES ('dbo', 1), ('sys', 4), ('INFORMATION_SCHEMA', 3)) AS s (name, n)
    UNION ALL SELECT DISTINCT schema_name, 5 FROM tds.objects WHERE schema_name NOT IN ('dbo', 'sys', 'INFORMATION_SCHEMA');
CREATE VIEW sys.tables AS SELECT o.name, o.object_id, s.schema_id::integer AS schema_id, o.type,
    0::smallint AS is_ms_shipped, 0::smallint AS temporal_type, o.is_external, o.is_memory_optimized
    FROM tds.objects AS o JOIN sys.schemas AS s ON s.name = o.schema_name;
CREATE VIEW sys.objects AS SELECT * FROM sys.tables;
CREATE VIEW sys.security_policies AS SELECT 1 AS object_id, 1::smallint AS is_enabled;
CREATE VIEW sys.security_predicates AS SELECT 1 AS object_id, target_object_id, 0 AS predicate_type FROM tds.policies;
CREATE VIEW sys.types AS SELECT name, system_type_id, user_type_id, 4 AS schema_id FROM tds.types;
CREATE VIEW sys.columns AS SELECT o.object_id, c.name, c.column_id, t.system_type_id, t.user_type_id, c.max_length,
    c.precision, c.scale, c.nullable::integer::smallint AS is_nullable, c.is_identity::integer::smallint AS is_identity,
    0::smallint AS is_computed, 0::smallint AS is_hidden, c.is_masked, c.encryption_type, CASE WHEN c.type_name !~ 'char|text' THEN NULL WHEN c.code_page = 437 THEN 'SQL_Latin1_General_CP437_CI_AS'
        ELSE 'SQL_Latin1_General_CP1_CI_AS' END AS collation_name
    FROM tds.columns AS c JOIN tds.objects AS o ON o.schema_name = c.schema_name AND o.name = c.table_name
    JOIN tds.types AS t ON t.name = c.type_name COLLATE tds.ci;
CREATE VIEW sys.indexes AS SELECT o.object_id, i.name, i.index_id, CASE i.index_id WHEN 1 THEN 1 ELSE 2 END::smallint AS type,
    i.is_unique::integer::smallint AS is_unique, i.is_primary_key::integer::smallint AS is_primary_key,
    0::smallint AS is_disabled, 0::smallint AS is_hypothetical, 0::smallint AS has_filter
    FROM tds.indexes AS i JOIN tds.objects AS o ON o.schema_name = i.schema_name AND o.name = i.table_name;
CREATE VIEW sys.index_columns AS SELECT o.object_id, i.index_id, i.key_ordinal AS index_column_id, c.column_id,
    i.key_ordinal::smallint AS key_ordinal, i.is_descending::integer::smallint AS is_descending_key,
    0::smallint AS is_included_column
    FROM tds.index_columns AS i JOIN tds.objects AS o ON o.schema_name = i.schema_name AND o.name = i.table_name
    JOIN tds.columns AS c ON c.schema_name = i.schema_name AND c.table_name = i.table_name AND c.name = i.column_name;
CREATE VIEW "INFORMATION_SCHEMA"."TABLES" AS SELECT current_database()::text AS "TABLE_CATALOG",
    schema_name AS "TABLE_SCHEMA", name AS "TABLE_NAME", 'BASE TABLE'::text AS "TABLE_TYPE" FROM tds.objects;
CREATE VIEW "INFORMATION_SCHEMA"."COLUMNS" AS SELECT current_database()::text AS "TABLE_CATALOG",
    c.schema_name AS "TABLE_SCHEMA", c.table_name AS "TABLE_NAME", c.name AS "COLUMN_NAME", c.column_id AS "ORDINAL_POSITION",
    CASE WHEN c.nullable THEN 'YES' ELSE 'NO' END AS "IS_NULLABLE", c.type_name COLLATE tds.ci AS "DATA_TYPE",
    CASE WHEN c.type_name ~ '^n(var)?char' AND c.max_length > 0 THEN c.max_length / 2
        WHEN c.type_name ~ 'char|binary' THEN c.max_length::integer END AS "CHARACTER_MAXIMUM_LENGTH",
    CASE WHEN c.precision > 0 AND c.type_name !~ 'date|time' THEN c.precision END AS "NUMERIC_PRECISION",
    CASE WHEN c.precision > 0 AND c.type_name !~ 'date|time|float|real' THEN c.scale::integer END AS "NUMERIC_SCALE",
    CASE WHEN c.type_name ~ 'date|time' THEN c.scale END AS "DATETIME_PRECISION"
    FROM tds.columns AS c JOIN tds.objects AS o ON o.schema_name = c.schema_name AND o.name = c.table_name;
"#;

/// The columns of the views above, as `catalog` tells those of tables.
pub(crate) const VIEWS: [(&str, &str, &str); 14] = [
    ("sys", "security_policies", "object_id int, is_enabled bit"),
    ("sys", "security_predicates", "object_id int, target_object_id int, predicate_type int"),
    (
        "sys",
        "databases",
        "name sysname, database_id int, snapshot_isolation_state tinyint, is_read_committed_snapshot_on bit",
    ),
    ("sys", "dm_tran_active_transactions", "transaction_id bigint, transaction_begin_time datetime"),
    (
        "sys",
        "dm_tran_database_transactions",
        "transaction_id bigint, database_id int, database_transaction_begin_time datetime",
    ),
    ("sys", "schemas", "name sysname, schema_id int"),
    (
        "sys",
        "tables",
        "name sysname, object_id int, schema_id int, type char(2), is_ms_shipped bit, temporal_type tinyint, is_external bit, \
         is_memory_optimized bit",
    ),
    (
        "sys",
        "objects",
        "name sysname, object_id int, schema_id int, type char(2), is_ms_shipped bit, temporal_type tinyint, is_external bit, \
         is_memory_optimized bit",
    ),
    ("sys", "types", "name sysname, system_type_id tinyint, user_type_id int, schema_id int"),
    (
        "sys",
        "columns",
        "object_id int, name sysname, column_id int, system_type_id tinyint, user_type_id int, max_length smallint, \
         precision tinyint, scale tinyint, is_nullable bit, is_identity bit, is_computed bit, is_hidden bit, \
         is_masked bit, encryption_type int, collation_name sysname",
    ),
    (
        "sys",
        "indexes",
        "object_id int, name sysname, index_id int, type tinyint, is_unique bit, is_primary_key bit, is_disabled bit, \
         is_hypothetical bit, has_filter bit",
    ),
    (
        "sys",
        "index_columns",
        "object_id int, index_id int, index_column_id int, column_id int, key_ordinal tinyint, is_descending_key bit, \
         is_included_column bit",
    ),
    (
        "INFORMATION_SCHEMA",
        "TABLES",
        "TABLE_CATALOG nvarchar(128), TABLE_SCHEMA nvarchar(128), TABLE_NAME sysname, TABLE_TYPE varchar(10)",
    ),
    (
        "INFORMATION_SCHEMA",
        "COLUMNS",
        "TABLE_CATALOG nvarchar(128), TABLE_SCHEMA nvarchar(128), TABLE_NAME nvarchar(128), COLUMN_NAME sysname, \
         ORDINAL_POSITION int, IS_NULLABLE varchar(3), DATA_TYPE nvarchar(128), CHARACTER_MAXIMUM_LENGTH int, \
         NUMERIC_PRECISION tinyint, NUMERIC_SCALE int, DATETIME_PRECISION smallint",
    ),
];

/// `max_length`, `precision` and `scale` of `sys.columns`.
pub(crate) fn measures(of: &Type) -> (i16, i16, i16) {
    let max = |n: &Option<u16>, wide: i16| n.map_or(-1, |n| n as i16 * wide);
    let bytes = |scale: &u8| super::types::time_bytes(*scale) as i16;
    let digits = |scale: u8, rest: i16| (rest + if scale > 0 { 1 + i16::from(scale) } else { 0 }, scale.into());
    let timed = |length, scale: u8, rest| (length, digits(scale, rest).0, digits(scale, rest).1);
    match of {
        Type::Bit => (1, 1, 0),
        Type::TinyInt => (1, 3, 0),
        Type::SmallInt => (2, 5, 0),
        Type::Int => (4, 10, 0),
        Type::BigInt => (8, 19, 0),
        Type::Decimal(p, s) | Type::Numeric(p, s) => (super::types::magnitude(*p) as i16 + 1, (*p).into(), (*s).into()),
        Type::Money => (8, 19, 4),
        Type::SmallMoney => (4, 10, 4),
        Type::Real => (4, 24, 0),
        Type::Float => (8, 53, 0),
        Type::Char(n) | Type::Binary(n) => (*n as i16, 0, 0),
        Type::NChar(n) => (*n as i16 * 2, 0, 0),
        Type::VarChar(n) | Type::VarBinary(n) => (max(n, 1), 0, 0),
        Type::NVarChar(n) => (max(n, 2), 0, 0),
        Type::Text | Type::NText | Type::Image => (16, 0, 0),
        Type::Date => (3, 10, 0),
        Type::Time(s) => timed(bytes(s), *s, 8),
        Type::DateTime => (8, 23, 3),
        Type::SmallDateTime => (4, 16, 0),
        Type::DateTime2(s) => timed(bytes(s) + 3, *s, 19),
        Type::DateTimeOffset(s) => timed(bytes(s) + 5, *s, 26),
        Type::UniqueIdentifier => (16, 0, 0),
        Type::Variant => (8016, 0, 0),
        Type::RowVersion => (8, 0, 0),
        Type::Udt(super::types::Udt::HierarchyId) => (892, 0, 0),
        Type::Xml | Type::Udt(_) => (-1, 0, 0),
    }
}
