-- The directory of names, on the shard that tenant and name hash to: kata_data.claim_name and its siblings there.

create function kata_px.claim_name(shard_ integer, a1 text, a2 text, a3 uuid, a4 text, a5 timestamptz)
returns table (holder uuid, is_pending boolean, claimed_at timestamptz)
language plproxy
as $$
  cluster 'kata'; run on shard_;
  select r.holder, r.is_pending, r.claimed_at from kata_data.claim_name($2, $3, $4, $5, $6) r;
$$;

create function kata_px.keep_name(shard_ integer, a1 text, a2 text, a3 uuid, a4 text) returns void
language plproxy
as $$
  cluster 'kata'; run on shard_;
  select kata_data.keep_name($2, $3, $4, $5);
$$;

create function kata_px.release_name(shard_ integer, a1 text, a2 text, a3 text) returns void
language plproxy
as $$
  cluster 'kata'; run on shard_;
  select kata_data.release_name($2, $3, $4);
$$;

create function kata_px.name_holder(shard_ integer, a1 text, a2 text) returns uuid
language plproxy
as $$
  cluster 'kata'; run on shard_;
  select kata_data.name_holder($2, $3);
$$;

create function kata_px.forget_names(a1 uuid[]) returns setof integer
language plproxy
as $$
  cluster 'kata'; run on all;
  select 1 from kata_data.forget_names($1) r;
$$;

-- Returns the context that has the name; null where this call has claimed it, and is to keep or to release it.
create function kata_proxy.claim_name(name text, context_id uuid, token text) returns uuid
language plpgsql volatile
as $$
declare
  v_tenant text := kata_proxy.tenant();
  v_shard integer := kata_proxy.name_shard(name);
  v_claim record;
  v_found uuid;
begin
  select c.holder, c.is_pending, c.claimed_at into strict v_claim
  from kata_px.claim_name(v_shard, v_tenant, name, context_id, token, null) c;
  if v_claim.holder is not null and not v_claim.is_pending then
    -- Repetitions of a request have other ids, but one shard.
    v_found := kata_px.find_context(kata_proxy.who(), kata_proxy.shard_of(v_claim.holder), name);
    if v_found is null or v_found = context_id then
      select c.holder, c.is_pending, c.claimed_at into strict v_claim
      from kata_px.claim_name(v_shard, v_tenant, name, context_id, token, v_claim.claimed_at) c;
    end if;
  end if;
  return v_claim.holder;
end
$$;

-- After the call, which has succeeded even if the shard of the name does not answer: the claim ends by itself, and the context is found before that.
create function kata_proxy.keep_name(is_claimed boolean, name text, context_id uuid, token text) returns void
language plpgsql volatile
as $$
begin
  if is_claimed then
    perform kata_px.keep_name(kata_proxy.name_shard(name), kata_proxy.tenant(), name, context_id, token);
  end if;
exception
  when others then
    if kata_proxy.state_of(sqlstate, sqlerrm) not in ('08001', '08006') then
      raise;
    end if;
end
$$;

-- After an error, where that says that nothing was changed.
create function kata_proxy.release_name(is_claimed boolean, name text, token text, state text, message text) returns void
language plpgsql volatile
as $$
begin
  if is_claimed and (state like 'KC%' or kata_proxy.state_of(state, message) = '08001') then
    perform kata_px.release_name(kata_proxy.name_shard(name), kata_proxy.tenant(), name, token);
  end if;
exception
  when others then
    if kata_proxy.state_of(sqlstate, sqlerrm) not in ('08001', '08006') then
      raise;
    end if;
end
$$;

-- Until when a call that has claimed a name may make what it names: before the claim can be taken over.
create function kata_proxy.deadline_of_name(is_claimed boolean) returns timestamptz
language sql volatile
as $$
  select case when is_claimed then clock_timestamp() + interval '20 seconds' end
$$;

create function kata_proxy.refuse_name(name text) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC007',
    message = format('context name "%s" is taken', name),
    detail = 'Another live context of the tenant has it.',
    hint = 'Choose another name, or find that context with kata.find_context.';
end
$$;

create function kata_proxy.find_name(name text) returns uuid
language plpgsql stable
as $$
declare
  v_holder uuid := kata_px.name_holder(kata_proxy.name_shard(name), kata_proxy.tenant(), name);
begin
  return case when v_holder is not null then kata_px.find_context(kata_proxy.who(), kata_proxy.shard_of(v_holder), name) end;
end
$$;
