-- One row for each provider, with the department where the provider is at home.
SELECT
    p.hospital || '/' || p.provider_id AS provider_key,
    p.hospital,
    p.provider_id,
    -- A part without a value must not make the whole name vanish.
    TRIM(COALESCE(p.first_name, '') || ' ' || COALESCE(p.last_name, '')) AS provider,
    p.first_name,
    p.last_name,
    p.specialization,
    p.npi,
    COALESCE(d.department_key, 'unknown') AS department_key,
    p.surrogate_key
FROM silver.providers AS p
LEFT JOIN gold.dim_department AS d ON d.department_key = p.hospital || '/' || p.department_id
UNION ALL
SELECT
    'unknown', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), 'Unknown provider', CAST(NULL AS VARCHAR),
    CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), 'unknown', CAST(NULL AS VARCHAR)
ORDER BY provider_key
