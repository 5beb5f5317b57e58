-- A proxy shares its connections among all its callers, so tenant and caller come with each statement and go with it. The settings alone give
-- no right: kata.tenant counts for members of kata_service, the others for members of kata_proxy.

create or replace function kata_data.enter(
  tenant text, caller text, is_administrator boolean default false, new_id uuid default null, deadline timestamptz default null,
  writes boolean default false
) returns boolean
language sql volatile
as $$
  select set_config('kata.tenant', tenant, true) is not null
    and set_config('kata.caller', caller, true) is not null
    and set_config('kata.caller_administers', is_administrator::text, true) is not null
    and set_config('kata.new_id', coalesce(new_id::text, ''), true) is not null
    and kata_data.is_in_time(deadline)
    and (not writes or kata_data.takes_writes())
$$;
comment on function kata_data.enter(text, text, boolean, uuid, timestamptz, boolean) is
'Lets the rest of a proxy''s transaction act for a tenant and in the name of a role, which this cluster need not have. Always true, so that
it can be the condition of a query that calls a function.

new_id: the id of the context that the call creates; null for a new one. deadline: after it the proxy no longer holds the name for the new
context. writes: whether the call may change something. KC024 the shard is paused, KC025.';

create or replace function kata_data.is_in_time(deadline timestamptz) returns boolean
language plpgsql volatile
as $$
begin
  if clock_timestamp() <= deadline or deadline is null then
    return true;
  end if;
  raise exception using
    errcode = 'KC025',
    message = 'the call came too late to take a name',
    detail = format('The proxy held the name for it until %s.', deadline),
    hint = 'Call again; if it happens often, compare the clocks of the proxy and of the shards.';
end
$$;
comment on function kata_data.is_in_time(timestamptz) is 'Whether a deadline, if there is one, has not passed. KC025.';

create or replace function kata_data.takes_writes() returns boolean
language plpgsql volatile
as $$
begin
  if exists (select from kata_data.bucket_range r where r.is_paused) then
    raise exception using
      errcode = 'KC024',
      message = 'the shard moves to another server',
      detail = 'Writes wait until the proxies have its new address.',
      hint = 'Call again: nothing was changed. If it lasts, look at the move with kata shard list.';
  end if;
  return true;
end
$$;
comment on function kata_data.takes_writes() is 'Whether proxies may write here: not while the database is about to move. KC024.';
