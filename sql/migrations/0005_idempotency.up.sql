-- Idempotency: a repeated request gets the first result.
--
-- idempotency has one row per key in use. append, append_message, create_context, fork and merge insert it in the transaction
-- of their work, so key and result are committed together; a second request with the key waits on the primary key until the
-- first has ended. A key is good for seven days. Calls that add a key overwrite an expired one and delete a few others, which
-- keeps the table small without a job; a purge deletes those of its context.

create table kata_data.idempotency (
  scope text,
  key text constraint idempotency_key_length check (length(key) between 1 and 255),
  request bytea not null,
  result jsonb not null,
  created_at timestamptz not null,
  constraint idempotency_pkey primary key (scope, key)
);
comment on table kata_data.idempotency is 'Idempotency keys, kept seven days: scope (a context, or a tenant for create_context), the digest of the request, its result.';

-- Finds expired keys, which calls that add keys remove a few at a time.
create index idempotency_age on kata_data.idempotency (created_at);

grant select, delete on kata_data.idempotency to kata_eraser;
