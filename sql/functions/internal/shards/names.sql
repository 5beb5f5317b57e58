-- Names are unique over all shards by a directory. The entry of a name is on the shard of the bucket that tenant and name hash to. It is a lock
-- and a hint; the context's row is the truth. A proxy claims a name, has the context made within 20 seconds, and keeps the claim. While calls
-- are on their way, for at most 30 seconds, no other request gets the name. After that an entry whose context has no longer the name is taken
-- over, unless it was claimed anew since that was looked up. Run by members of kata_proxy.

create or replace function kata_data.is_pending(claim kata_data.name_claim) returns boolean
language sql volatile
as $$
  select claim.calls > 0 and claim.claimed_at > clock_timestamp() - interval '30 seconds'
$$;
comment on function kata_data.is_pending(kata_data.name_claim) is 'Whether a call may still be about to give the name to a context.';

create or replace function kata_data.claim_name(
  tenant text, name text, context_id uuid, token text, instead_of timestamptz default null,
  out holder uuid, out is_pending boolean, out claimed_at timestamptz
)
language plpgsql volatile
as $$
begin
  perform kata_data.takes_writes();
  loop
    insert into kata_data.name_claim as c (tenant, name, context_id, token, claimed_at, calls, is_new)
    values (claim_name.tenant, claim_name.name, claim_name.context_id, claim_name.token, clock_timestamp(), 1, true)
    on conflict on constraint name_claim_pkey do update
    set context_id = case when c.token = excluded.token then c.context_id else excluded.context_id end,
        token = excluded.token,
        claimed_at = clock_timestamp(),
        calls = case when kata_data.is_pending(c) then c.calls + 1 else 1 end,
        is_new = c.token <> excluded.token and c.context_id <> excluded.context_id
    where c.token = excluded.token
      or c.context_id = excluded.context_id
      or c.claimed_at = instead_of and not kata_data.is_pending(c);
    exit when found;
    select c.context_id, kata_data.is_pending(c), c.claimed_at into holder, is_pending, claimed_at
    from kata_data.name_claim c
    where c.tenant = claim_name.tenant and c.name = claim_name.name;
    -- Else it was given up in between.
    exit when found;
  end loop;
end
$$;
comment on function kata_data.claim_name(text, text, uuid, text, timestamptz) is
'Claims a name for a context. Returns nulls where that has succeeded, as it does for the context or the request that had it before; else the
context that has the name, whether a call for it is on its way, and when it was claimed.

token: of the request, the same for its repetitions. instead_of: when a claim was made that may be taken over, because its context has the
name no longer. KC024 the shard is paused.';

create or replace function kata_data.keep_name(tenant text, name text, context_id uuid, token text) returns void
language plpgsql volatile
as $$
begin
  update kata_data.name_claim c
  set context_id = keep_name.context_id, calls = greatest(c.calls - 1, 0), is_new = false
  where c.tenant = keep_name.tenant and c.name = keep_name.name and c.token = keep_name.token;
end
$$;
comment on function kata_data.keep_name(text, text, uuid, text) is 'Ends the claim of one call: the context has been made, and has the name.';

create or replace function kata_data.release_name(tenant text, name text, token text) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.name_claim c
  where c.tenant = release_name.tenant and c.name = release_name.name and c.token = release_name.token
    and c.is_new;
  if not found then
    update kata_data.name_claim c
    set calls = greatest(c.calls - 1, 0)
    where c.tenant = release_name.tenant and c.name = release_name.name and c.token = release_name.token;
  end if;
end
$$;
comment on function kata_data.release_name(text, text, text) is
'Gives up the claim of one call, which has changed nothing. An entry that had been claimed before stays: the context may have the name.';

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
  delete from kata_data.name_claim c where c.context_id = any (contexts) and not kata_data.is_pending(c);
end
$$;
comment on function kata_data.forget_names(uuid[]) is
'Removes the names of purged contexts from the directory, except those that a call is about to give to another context.';
