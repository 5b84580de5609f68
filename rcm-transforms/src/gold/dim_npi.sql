-- Providers as the national registry knows them; dim_provider has them as the hospitals do.
SELECT npi, enumeration_type, status, first_name, last_name, organization_name, credential, taxonomy_code, city, state, postal_code,
       deactivation_date, surrogate_key
FROM silver.npi_registry
UNION ALL
SELECT 'unknown', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), 'Unknown provider', CAST(NULL AS VARCHAR),
       CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR),
       CAST(NULL AS DATE), CAST(NULL AS VARCHAR)
ORDER BY npi
