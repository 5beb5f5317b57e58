-- The digests of requests that brought a text which is erased.

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
