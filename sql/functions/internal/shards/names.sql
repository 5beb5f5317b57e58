-- Names are unique over all shards by a directory. The entry of a name is on the shard of the bucket that tenant and name hash to. It is a lock
-- and a hint; the context's row is the truth. A proxy claims a name for 30 seconds, has the context made, and keeps the claim. An entry
-- whose context has no longer the name is taken over. Run by members of kata_proxy.

create or replace function kata_data.claim_name(
  tenant text, name text, context_id uuid, token text, instead_of uuid default null, out holder uuid, out is_pending boolean
)
language plpgsql volatile
as $$
begin
  insert into kata_data.name_claim as c (tenant, name, context_id, token, pending_until)
  values (claim_name.tenant, claim_name.name, claim_name.context_id, claim_name.token, clock_timestamp() + interval '30 seconds')
  on conflict on constraint name_claim_pkey do update
  set context_id = excluded.context_id, token = excluded.token, pending_until = excluded.pending_until
  where c.pending_until < clock_timestamp()
    and (c.context_id = instead_of or c.token = excluded.token and c.pending_until > '-infinity');
  if not found then
    select c.context_id, c.pending_until >= clock_timestamp() into holder, is_pending
    from kata_data.name_claim c
    where c.tenant = claim_name.tenant
      and c.name = claim_name.name
      -- The same request again: the shard of its key has the result.
      and c.token <> claim_name.token;
    if not found then
      holder := null;
    end if;
  end if;
end
$$;
comment on function kata_data.claim_name(text, text, uuid, text, uuid) is
'Claims a name for a context. Returns nulls where that has succeeded, or the same request had claimed it; else the context that has the name,
and whether it is still being made.

token: of the request, the same for its repetitions. instead_of: a context whose claim may be taken over, because it has the name no longer.';

create or replace function kata_data.keep_name(tenant text, name text, context_id uuid, token text) returns void
language plpgsql volatile
as $$
begin
  update kata_data.name_claim c
  set context_id = keep_name.context_id, pending_until = '-infinity'
  where c.tenant = keep_name.tenant and c.name = keep_name.name and c.token = keep_name.token;
end
$$;
comment on function kata_data.keep_name(text, text, uuid, text) is 'Ends a claim: the context has been made, and has the name.';

create or replace function kata_data.release_name(tenant text, name text, token text) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.name_claim c
  where c.tenant = release_name.tenant and c.name = release_name.name and c.token = release_name.token
    and c.pending_until > '-infinity';
end
$$;
comment on function kata_data.release_name(text, text, text) is 'Gives up a claim: the context has not been made.';

create or replace function kata_data.name_holder(tenant text, name text) returns uuid
language plpgsql stable
as $$
begin
  return (
    select c.context_id from kata_data.name_claim c where c.tenant = name_holder.tenant and c.name = name_holder.name);
end
$$;
comment on function kata_data.name_holder(text, text) is 'The context that the directory names; it may have lost the name since.';

create or replace function kata_data.forget_names(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.name_claim c where c.context_id = any (contexts);
end
$$;
comment on function kata_data.forget_names(uuid[]) is 'Removes the names of purged contexts from the directory.';
