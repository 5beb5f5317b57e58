-- A worker of one tenant does not look at what is due for others.
-- kata: no-transaction

-- What a build that was cut off has left is not valid. That there is none is not worth a word.
set client_min_messages = warning;
drop index concurrently if exists kata_data.head_due_of_tenant;
reset client_min_messages;
-- claim_due_compaction of one tenant; that of all tenants has head_due.
create index concurrently if not exists head_due_of_tenant on kata_data.head (tenant, due_at) where due_at is not null;
