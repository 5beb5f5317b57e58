-- Where a context has the name, its shard answers, without an id for a new one; KC007 then means that it has lost the name just now. Where
-- another call makes one, this one waits: the claim ends within 30 seconds.
declare
  v_id uuid := kata_proxy.new_id(kata_proxy.bucket_for(null, name));
  v_token text := kata_proxy.token_of(v_id, 'tenant', idempotency_key);
  v_claims boolean := false;
  v_holder uuid;
begin
  perform kata_proxy.keep_tenant();
  loop
    v_holder := case when kata_proxy.can_be_claimed(name) then kata_proxy.claim_name(name, v_id, v_token) end;
    v_claims := v_holder is null and kata_proxy.can_be_claimed(name);
    exit when v_holder is null;
    if kata_proxy.find_name(name) is not null then
      begin
        return query
        select x.context_id, x.created
        from {call kata_proxy.shard_of(v_holder) | kata_proxy.who('00000000-0000-0000-0000-000000000000')} x;
        return;
      exception
        when sqlstate 'KC007' then null;
      end;
    end if;
    perform pg_sleep(0.02);
  end loop;
  select x.context_id, x.created into strict context_id, created
  from {call kata_proxy.shard_of(v_id) | kata_proxy.who(v_id, kata_proxy.deadline_of_name(v_claims))} x;
  perform kata_proxy.keep_name(v_claims, name, context_id, v_token);
  return next;
  return;
exception
  when others then
    perform kata_proxy.release_name(v_claims, name, v_token, sqlstate, sqlerrm);
    raise;
end;
