-- Compares heads that were kept elsewhere with the database: the log and the acts may have grown since, and must still contain what they
-- were. Entries that a purge removed since cannot be compared; the purge is an act, which cannot be taken back unseen.
-- plans: reader

create or replace function kata.check_heads(heads jsonb)
returns table (context_id uuid, version bigint, problem text, detail text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  perform kata_data.check_given_heads(heads);
  return query
  select h.context_id, f.version, f.problem, f.detail
  from rows from (
    jsonb_to_recordset(heads) as (
      context_id uuid, version bigint, digest text, last_digest text, acts bigint, act_digest text, requests bigint)
  ) with ordinality h
  cross join lateral kata_data.verify_given_head(
    v_tenant, h.context_id, h.version, h.digest, h.last_digest, h.acts, h.act_digest, h.requests) f
  order by h.ordinality;
end
$$;
comment on function kata.check_heads(jsonb) is
'Compares rows of kata.heads that were kept elsewhere with the database as it is now.

A message that was rewritten together with all later digests, a log or acts that were cut, a context that is gone, and a database that was
set back to an earlier state are found. Appends, view changes, forks, erasures, deletions and purges since are sound. It looks at the
digests of the rows only: kata.verify looks whether everything before agrees with them.

heads: an array of at most 1,000 objects with the columns of kata.heads, digests in hexadecimal; of the tenants that the caller sees.

Returns one row per problem, none if all heads are still part of the database: context_id, version, problem (a short name), detail (a
sentence).
Errors: KC017. Cost: O(heads × log n); takes no lock.';

create or replace function kata_data.check_given_heads(heads jsonb) returns void
language plpgsql immutable
as $$
declare
  v_digest constant text := '^[0-9a-f]{64}$';
  v_number constant text := '^[0-9]{1,18}$';
begin
  if jsonb_typeof(heads) = 'array' and jsonb_array_length(heads) <= 1000 and not exists (
    select
    from jsonb_array_elements(heads) h(head)
    where jsonb_typeof(h.head) <> 'object'
      or ((h.head ->> 'context_id') collate "C" ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' and (h.head ->> 'version') collate "C" ~ v_number
        and (h.head ->> 'acts') collate "C" ~ v_number and (h.head ->> 'requests') collate "C" ~ v_number and (h.head ->> 'digest') collate "C" ~ v_digest
        and (h.head ->> 'last_digest') collate "C" ~ v_digest and (h.head ->> 'act_digest') collate "C" ~ v_digest) is not true) then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'heads must be an array of at most 1000 rows of kata.heads',
    detail = format('It is %s.', case jsonb_typeof(heads)
      when 'array' then format('an array of %s elements, or one of them is not such a row', jsonb_array_length(heads))
      else coalesce(jsonb_typeof(heads), 'null')
    end),
    hint = 'Pass objects with context_id, version, digest, last_digest, acts, act_digest and requests; digests in lower-case hexadecimal.';
end
$$;
comment on function kata_data.check_given_heads(jsonb) is 'Refuses what is not an array of heads. KC017.';

create or replace function kata_data.verify_given_head(
  tenant text, context_id uuid, version bigint, digest text, last_digest text, acts bigint, act_digest text, requests bigint
) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_now record;
  v_purged_at timestamptz;
  v_digest text;
begin
  if digest <> encode(kata_data.head_digest(
    context_id, version, decode(last_digest, 'hex'), acts, decode(act_digest, 'hex'), requests), 'hex') then
    return next row(version, 'head changed', 'The digest of the row is not that of its columns.')::kata_data.finding;
    return;
  end if;
  select c.purged_at into v_purged_at
  from kata_data.context c
  where c.context_id = verify_given_head.context_id
    and verify_given_head.tenant in (c.tenant, '*');
  if not found then
    return next row(version, 'context gone', format('It was at version %s, and is not there.', version))::kata_data.finding;
    return;
  end if;
  select h.version, h.last_digest, h.acts, h.requests into v_now from kata_data.head_digests(verify_given_head.context_id) h;
  if v_now.version is null or v_now.version < version then
    return next row(version, 'log cut', format('It was at version %s, and is at %s.', version, v_now.version))::kata_data.finding;
  else
    v_digest := encode(kata_data.digest_at(context_id, version), 'hex');
    if (coalesce(v_digest, case when v_purged_at is not null then last_digest end) = last_digest) is not true
      or v_now.version = version and encode(v_now.last_digest, 'hex') <> last_digest then
      return next row(version, 'log rewritten', 'The digest of this version is not what it was.')::kata_data.finding;
    end if;
  end if;
  if v_now.acts is null or v_now.acts < acts then
    return next row(version, 'acts cut', format('There were %s acts, and there are %s.', acts, v_now.acts))::kata_data.finding;
  elsif acts > 0 and not exists (
    select from kata_data.act a
    where a.context_id = verify_given_head.context_id
      and a.number = acts
      and a.digest = decode(verify_given_head.act_digest, 'hex')) then
    return next row(version, 'acts rewritten', format('The digest of act %s is not what it was.', acts))::kata_data.finding;
  end if;
  if v_purged_at is null and v_now.requests < requests then
    return next row(version, 'requests cut', format('There were %s requests, and there are %s.', requests, v_now.requests))::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_given_head(text, uuid, bigint, text, text, bigint, text, bigint) is
'Where a context of a tenant is not a continuation of a head that was kept.';
