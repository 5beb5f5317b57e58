-- What an idempotency key was used for: the same request again gets the first result.

create table kata_data.idempotency (
  scope text,
  key text constraint idempotency_key_length check (length(key) between 1 and 255),
  request bytea not null,
  result jsonb not null,
  created_at timestamptz not null,
  constraint idempotency_pkey primary key (scope, key)
);
comment on table kata_data.idempotency is 'Idempotency keys, kept seven days: scope (a context, or a tenant for create_context), the digest of the request, its result.';

-- Expired keys are removed a few at a time by those who add new ones.
create index idempotency_age on kata_data.idempotency (created_at);
