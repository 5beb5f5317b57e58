-- The members of pg_monitor lose their way in.
revoke usage on schema kata from pg_monitor;
drop view kata.metrics;
drop index kata_data.compaction_guard_failing;
