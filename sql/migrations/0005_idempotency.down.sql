-- kata: destructive

drop table kata_data.idempotency;
