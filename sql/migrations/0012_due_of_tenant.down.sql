-- Takes back the index on what is due for a tenant.
-- kata: no-transaction

drop index concurrently if exists kata_data.head_due_of_tenant;
