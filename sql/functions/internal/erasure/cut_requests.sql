-- A purge and requests. The digest of an answer covers requests before it, so forks that read the answer need them to verify it. They
-- need no salt: a purged context replays nothing, and some of these requests showed what the purge removes.

create or replace function kata_data.cut_requests(context_id uuid, reach bigint) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.request r
  where r.context_id = cut_requests.context_id
    and r.request_id > kata_data.kept_requests(cut_requests.context_id, reach);
  update kata_data.request r
  set salt = null, error = null
  where r.context_id = cut_requests.context_id
    and num_nonnulls(r.salt, r.error) > 0;
end
$$;
comment on function kata_data.cut_requests(uuid, bigint) is
'Removes the requests of a purged context after the newest one whose answer is kept, and salt and error of the others.

Runs as kata_eraser. Cost: O(requests of the context).';

create or replace function kata_data.kept_requests(context_id uuid, reach bigint) returns bigint
language sql stable
as $$
  select coalesce(max(r.request_id), 0)
  from kata_data.request r
  where r.context_id = kept_requests.context_id
    and r.answer_version <= kept_requests.reach
$$;
comment on function kata_data.kept_requests(uuid, bigint) is
'The newest request of a context whose answer is up to a version; 0 for none. Cost: O(requests of the context).';
