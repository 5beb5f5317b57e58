-- Idempotency: a repeated request gets the first result.
--
-- idempotency has one row per key in use. append, append_message, append_record, create_context, get_or_create_context, fork
-- and merge insert it in the transaction of their work, so key and result are committed together; a second request with the key waits
-- on the primary key until the first has ended. A key is good for seven days. Calls that add a key overwrite an expired one
-- and delete a few others, which keeps the table small without a job; a purge deletes those of its context.
-- The request itself is not kept, only a salted digest of it, which an erasure removes, as does a purge of the context that it created.

create table kata_data.idempotency (
  scope text,
  key text collate "C" constraint idempotency_key_length check (length(key) between 1 and 255),
  function_name text not null,
  salt bytea,
  request bytea,
  result jsonb not null,
  created_at timestamptz not null,
  constraint idempotency_request_salted check ((salt is null) = (request is null)),
  constraint idempotency_pkey primary key (scope, key)
);
comment on table kata_data.idempotency is 'One row per idempotency key in use; a key expires after seven days.';
comment on column kata_data.idempotency.scope is 'The context in which the key is unique, or the tenant for create_context and get_or_create_context.';
comment on column kata_data.idempotency.key is 'The key that the caller gave.';
comment on column kata_data.idempotency.function_name is 'The function that did the work; append for append_message, too.';
comment on column kata_data.idempotency.salt is 'Random bytes that request begins with; null where request is.';
comment on column kata_data.idempotency.request is
'SHA-256 over the salt and the request: another request with the same key is refused. Null after an erasure of an entry that the result
names, or a purge of such a context: the key then answers any request.';
comment on column kata_data.idempotency.result is 'The result of the first request, which its repetitions get.';
comment on column kata_data.idempotency.created_at is 'The time of the first request.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.idempotency
  alter column key set statistics 0,
  alter column salt set statistics 0,
  alter column request set statistics 0,
  alter column result set statistics 0;

create index idempotency_age on kata_data.idempotency (created_at);
comment on index kata_data.idempotency_age is 'The expired keys, which a call that adds a key deletes a few at a time.';
create index idempotency_context on kata_data.idempotency ((coalesce(result ->> 'context_id', result #>> '{}')))
  where function_name in ('create_context', 'get_or_create_context', 'fork');
alter index kata_data.idempotency_context alter column 1 set statistics 0;
comment on index kata_data.idempotency_context is 'The requests that created a context or found it by name, which its purge forgets.';

grant select, update (salt, request), delete on kata_data.idempotency to kata_eraser;
