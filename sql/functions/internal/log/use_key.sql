-- Idempotency keys: a retry must not do the work twice. A request claims its key by inserting the row; a second request with the key waits
-- until the first commits, then finds its result. Expired keys are overwritten, and each claim deletes a few others, as do the claims
-- of compactions, so that the table stays small without a job.
--
-- The row keeps a salted digest of the request, not the request. An erasure of an entry that the result names removes salt and digest:
-- what is short could be guessed from them. The key then answers any request, for to forget it would let a retry bring the text back.

create or replace function kata_data.use_key(
  scope text, key text, function_name text, request jsonb, result jsonb, is_erased boolean default false
) returns jsonb
language plpgsql volatile
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_expired timestamptz := v_now - interval '7 days';
  v_salt bytea := case when not is_erased then kata_data.new_salt() end;
  v_known kata_data.idempotency;
begin
  if length(key) not between 1 and 255 then
    raise exception using
      errcode = 'KC017',
      message = 'idempotency key is too long or empty',
      detail = format('It has %s characters.', length(key)),
      hint = 'Pass 1 to 255 characters, a UUID for example, or none.';
  end if;

  insert into kata_data.idempotency as i (scope, key, function_name, salt, request, result, created_at)
  values (
    use_key.scope, use_key.key, use_key.function_name, v_salt, kata_data.content_digest(v_salt, kata_data.canonical(use_key.request)), use_key.result,
    v_now)
  on conflict on constraint idempotency_pkey do update
  set function_name = excluded.function_name, salt = excluded.salt, request = excluded.request, result = excluded.result,
      created_at = excluded.created_at
  where i.created_at < v_expired;
  if found then
    perform kata_data.remove_expired_keys(10);
    return null;
  end if;

  select i.* into strict v_known
  from kata_data.idempotency i
  where i.scope = use_key.scope and i.key = use_key.key;
  if v_known.function_name <> function_name or v_known.request <> kata_data.content_digest(v_known.salt, kata_data.canonical(request)) then
    raise exception using
      errcode = 'KC019',
      message = format('idempotency key "%s" was used for another request', key),
      detail = format('It was first used at %s, by %s.', v_known.created_at, v_known.function_name),
      hint = 'Use a new key for a new request; repeat a request unchanged to get its first result.';
  end if;
  return v_known.result;
end
$$;
comment on function kata_data.use_key(text, text, text, jsonb, jsonb, boolean) is
'Claims an idempotency key for seven days. Returns null where the request is new, else the result of the first request.

request: what the caller asked for. is_erased: the result names an erased entry, so that no digest of the request may be kept. KC017,
KC019.';

create or replace function kata_data.canonical(request jsonb) returns text
language sql immutable
as $$
  -- jsonb sorts keys, but prints a number with the zeros that it was given: 1.0 and 1 are equal. Strings are passed over.
  select case
    when body ~ E'[0-9][.][0-9]*0(?:[],} ]|$)'
      then regexp_replace(body, E'("(?:[^"\\\\]|\\\\.)*")|([.][0-9]*[1-9])0+(?![0-9])|[.]0+(?![0-9])', E'\\1\\2', 'g')
    else body
  end
  from (select request::text as body offset 0) b
$$;
comment on function kata_data.canonical(jsonb) is 'A request as text, the same for requests that are equal.';

create or replace function kata_data.remove_expired_keys(max_keys integer) returns void
language plpgsql volatile
as $$
declare
  -- Read once: an index is not searched by a volatile function.
  v_end timestamptz := kata_data.clock() - interval '7 days';
  v_expired kata_data.idempotency;
begin
  -- One by one: a join that was planned while the table was small would read all of it.
  for v_expired in
    select i.*
    from kata_data.idempotency i
    where i.created_at < v_end
    order by i.created_at
    limit max_keys
    for update skip locked
  loop
    delete from kata_data.idempotency i
    where i.scope = v_expired.scope and i.key = v_expired.key;
  end loop;
end
$$;
comment on function kata_data.remove_expired_keys(integer) is
'Removes idempotency keys that have expired, of any tenant, the oldest first. Passes over locked ones. Cost: O(log n + keys removed).';

create or replace function kata_data.set_key_result(scope text, key text, result jsonb) returns void
language plpgsql volatile
as $$
begin
  update kata_data.idempotency i
  set result = set_key_result.result
  where i.scope = set_key_result.scope and i.key = set_key_result.key;
end
$$;
comment on function kata_data.set_key_result(text, text, jsonb) is
'Completes a key that this transaction has claimed, where the result is known only after the work.';

create or replace function kata_data.names_erased(context_id uuid, versions bigint[]) returns boolean
language plpgsql volatile
as $$
begin
  -- Against an erasure at this moment: it waits, and finds the key; or it is waited for, and seen.
  perform
  from unnest(versions) v(version)
  cross join kata_data.segments(names_erased.context_id, v.version, v.version) s
  cross join lateral (
    select from kata_data.message m where m.segment_id = s.segment_id and m.version = v.version for key share
  ) m;
  perform
  from unnest(versions) v(version)
  cross join kata_data.segments(names_erased.context_id, v.version, v.version) s
  cross join lateral (
    select from kata_data.record r where r.segment_id = s.segment_id and r.version = v.version for key share
  ) r;
  return exists (
    select
    from unnest(versions) v(version)
    cross join kata_data.segments(names_erased.context_id, v.version, v.version) s
    join kata_data.erasure e on e.segment_id = s.segment_id and e.version = v.version);
end
$$;
comment on function kata_data.names_erased(uuid, bigint[]) is
'Whether an entry of a path was erased, of those that a request gives again; they are locked.';
