-- Charges and payments by provider, home department and month of service (YYYYMM).
SELECT
    p.provider,
    d.department,
    TO_CHAR(t.service_date, '%Y%m') AS month,
    CAST(SUM(t.amount) AS DECIMAL(38, 2)) AS amount,
    CAST(SUM(t.paid_amount) AS DECIMAL(38, 2)) AS paid_amount
FROM gold.fact_transactions AS t
JOIN gold.dim_provider AS p ON p.provider_key = t.provider_key
JOIN gold.dim_department AS d ON d.department_key = p.department_key
GROUP BY p.provider, d.department, TO_CHAR(t.service_date, '%Y%m')
ORDER BY provider, department, month
