-- The digests to keep elsewhere: one row per context, deleted and purged ones included, so that one that is missing later shows.
-- plans: lookup

create or replace function kata.heads(after uuid default null, max_rows integer default 1000)
returns table (
  context_id uuid, version bigint, digest bytea, last_digest bytea, acts bigint, act_digest bytea, requests bigint
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.check_max_rows(max_rows);
  return query
  select h.context_id, h.version, h.digest, h.last_digest, h.acts, h.act_digest, h.requests
  from kata_data.contexts_after(kata_data.current_tenant(), after, null, max_rows) c(context_id)
  cross join lateral kata_data.head_digests(c.context_id) h
  order by c.context_id;
end
$$;
comment on function kata.heads(uuid, integer) is
'Lists the digest of every context of the caller''s tenant, to be kept elsewhere as evidence.

Under kata.tenant ''*'' it lists those of all tenants. Deleted and purged contexts are among them. kata.check_heads compares rows that
were kept with what the database holds later; kata heads writes a file of them.

after: the last context_id of the previous page; null for the first. max_rows: 1 to 1,000.

Returns rows by context_id: context_id, version, digest (SHA-256 over the rest of the row: docs/concepts.md), last_digest (of the newest
entry), acts (how many), act_digest (of the newest act), requests (how many).
Errors: KC017. Cost: O(log n + rows).';
