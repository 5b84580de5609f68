-- Charges by provider and the provider's home department. What meets no provider is the unknown provider's row.
SELECT
    p.provider,
    d.department,
    CAST(SUM(t.amount) AS DECIMAL(38, 2)) AS amount
FROM gold.fact_transactions AS t
JOIN gold.dim_provider AS p ON p.provider_key = t.provider_key
JOIN gold.dim_department AS d ON d.department_key = p.department_key
GROUP BY p.provider, d.department
ORDER BY provider, department
