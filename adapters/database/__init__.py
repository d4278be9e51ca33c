"""PostgreSQL: tables, units of work that see one org alone, and the repositories of the jobs."""
