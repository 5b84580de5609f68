//! Every statement that goes to a server, in plain T-SQL of SQL Server 2016 and later and Azure SQL. Names come
//! as parameters, or in brackets where a table or column is meant.

/// How a session is set up. What an administrator's defaults would cut off is whole; who waits for a lock says so in time; in a
/// deadlock the hospital's own work goes on, and ours ends.
pub(super) const SETTINGS: &str = "SET TEXTSIZE 2147483647; SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW";

/// Every statement shows one instant, and waits for nobody.
pub(super) const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT";

/// `@P1`: schema, or null for the user's own; `@P2`: table or view. What is external lies elsewhere.
pub(super) const TABLE: &str = "SELECT o.object_id, s.name, o.name, o.type, \
    CAST(COALESCE(t.is_external, 0) AS int), CAST(COALESCE(t.is_memory_optimized, 0) AS int) FROM sys.objects o \
    JOIN sys.schemas s ON s.schema_id = o.schema_id LEFT JOIN sys.tables t ON t.object_id = o.object_id \
    WHERE o.type IN ('U', 'V', 'ET') AND s.name = COALESCE(@P1, SCHEMA_NAME()) AND o.name = @P2";

/// `@P1`: the object. What is hidden (of a graph or a period) is in no `SELECT *` either.
pub(super) const COLUMNS: &str = "SELECT c.name, t.name, CAST(c.system_type_id AS int), c.user_type_id, CAST(c.precision AS int), \
    CAST(c.scale AS int), CAST(c.is_nullable AS int), CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS int), \
    CAST(c.is_masked AS int), c.encryption_type \
    FROM sys.columns c LEFT JOIN sys.types t ON t.user_type_id = c.user_type_id \
    WHERE c.object_id = @P1 AND c.is_hidden = 0 ORDER BY c.column_id";

/// `@P1`: the table. Whether the login sees what is behind a mask; permissions on a table are known since 2022.
pub(super) const UNMASK: &str = "SELECT CAST(COALESCE(HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UNMASK'), 0) AS int), \
    CAST(COALESCE(HAS_PERMS_BY_NAME(@P1, 'OBJECT', 'UNMASK'), 0) AS int)";

/// `@P1`: the object. Whether a policy of row-level security filters it.
pub(super) const POLICIES: &str = "SELECT TOP (1) 1 FROM sys.security_predicates p \
    JOIN sys.security_policies s ON s.object_id = p.object_id \
    WHERE p.target_object_id = @P1 AND p.predicate_type = 0 AND s.is_enabled = 1";

/// `@P1`: the object.
pub(super) const INDEXES: &str = "SELECT c.name, CAST(i.is_primary_key AS int), CAST(x.key_ordinal AS int) FROM sys.indexes i \
    JOIN sys.index_columns x ON x.object_id = i.object_id AND x.index_id = i.index_id \
    JOIN sys.columns c ON c.object_id = x.object_id AND c.column_id = x.column_id \
    WHERE i.object_id = @P1 AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.is_hypothetical = 0 AND i.has_filter = 0 \
    AND x.key_ordinal > 0 ORDER BY i.index_id, x.key_ordinal";

/// Whether a statement can show one instant: by SNAPSHOT, or by itself.
pub(super) const VERSIONING: &str = "SELECT CAST(snapshot_isolation_state AS int), CAST(is_read_committed_snapshot_on AS int) \
    FROM sys.databases WHERE name = DB_NAME()";

/// Whether it is a copy that only reads.
pub(super) const UPDATEABILITY: &str = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(20))";

/// The clock: as an instant, as the server's wall shows it, and as the source's zone does.
pub(super) const CLOCK: &str = "SELECT SYSUTCDATETIME(), SYSDATETIME(), SYSDATETIME()";

/// `@P1`: a time zone as Windows names it.
pub(super) const CLOCK_IN_ZONE: &str = "SELECT SYSUTCDATETIME(), SYSDATETIME(), \
    CAST(SYSUTCDATETIME() AT TIME ZONE 'UTC' AT TIME ZONE @P1 AS datetime2(7))";

/// Since when the oldest transaction runs that has written, by the server's wall. It needs VIEW SERVER STATE.
pub(super) const WRITING: &str = "SELECT MIN(a.transaction_begin_time) FROM sys.dm_tran_active_transactions a \
    JOIN sys.dm_tran_database_transactions d ON d.transaction_id = a.transaction_id \
    WHERE d.database_id = DB_ID() AND d.database_transaction_begin_time IS NOT NULL";

/// The lowest rowversion that may still be uncommitted.
pub(super) const ACTIVE: &str = "SELECT MIN_ACTIVE_ROWVERSION()";

/// The ends of a key.
pub(super) fn ends(table: &str, key: &str) -> String {
    format!("SELECT CAST(MIN({key}) AS bigint), CAST(MAX({key}) AS bigint) FROM {table}")
}

/// Whether there are such rows.
pub(super) fn any(table: &str, condition: &str) -> String {
    format!("SELECT TOP (1) 1 FROM {table} WHERE {condition}")
}

/// Rows, of which all conditions hold, and behind them how many there were: without that word they have not ended, they broke.
pub(super) fn rows(table: &str, list: &str, conditions: &[String]) -> String {
    let conditions: Vec<String> = conditions.iter().map(|condition| format!("({condition})")).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT {list} FROM {table}{filter}; SELECT ROWCOUNT_BIG()")
}

/// An identifier, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_stays_one() {
        assert_eq!(quoted("a]; DROP TABLE b; --"), "[a]]; DROP TABLE b; --]");
    }
}
