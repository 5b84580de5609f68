-- Charges and payments by the department of the transaction itself.
SELECT
    d.department,
    COUNT(*) AS transactions,
    CAST(SUM(t.amount) AS DECIMAL(38, 2)) AS amount,
    CAST(SUM(t.paid_amount) AS DECIMAL(38, 2)) AS paid_amount
FROM gold.fact_transactions AS t
JOIN gold.dim_department AS d ON d.department_key = t.department_key
GROUP BY d.department
ORDER BY department
