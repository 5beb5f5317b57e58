-- The digests of requests that brought a text which is erased, or created a context which is purged.

create or replace function kata_data.forget_requests(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
begin
  update kata_data.idempotency i
  set salt = null, request = null
  from kata_data.contexts_reading(forget_requests.segment_id, forget_requests.version) r
  where i.scope = 'context:' || r.context_id
    and i.request is not null
    and (i.result = to_jsonb(forget_requests.version) or i.result -> 'versions' @> to_jsonb(forget_requests.version));
end
$$;
comment on function kata_data.forget_requests(uuid, bigint) is
'Removes the digests of the requests whose results name an entry, in every context that reads it.

Their keys answer the first result to any request from then on. Cost: O(family + keys of the last seven days).';

create or replace function kata_data.forget_keys(purged kata_data.context) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.idempotency i where i.scope = 'context:' || purged.context_id;
  update kata_data.idempotency i
  set salt = null, request = null
  where coalesce(i.result ->> 'context_id', i.result #>> '{}') = purged.context_id::text
    and i.function_name in ('create_context', 'get_or_create_context', 'fork')
    and i.scope in ('tenant:' || purged.tenant, 'context:' || purged.parent_id)
    and i.request is not null;
end
$$;
comment on function kata_data.forget_keys(kata_data.context) is
'Removes the keys of a purged context, and the digests of the requests that created it or found it by name.

Such a request holds name, policy and metadata. Its key answers the id to any request from then on, so a retry does not create it again.
Cost: O(log keys + keys of the context).';
