-- Resolves a selector. The version is the primary coordinate: every other one is resolved to a version, once.
-- plans: reader

create or replace function kata.resolve_version(context_id uuid, selector text) returns bigint
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_newest bigint;
  v_version numeric;
begin
  v_newest := (kata_data.open_context(context_id)).version;
  case coalesce(kata_data.selector_kind(selector), 'name')
    when 'version' then
      v_version := kata_data.whole_number(selector);
    when 'head' then
      if selector !~* '^head(~[0-9]+)?$' collate kata_data.c_utf8 then
        raise exception using
          errcode = 'KC017',
          message = format('selector "%s" is not understood', left(selector, 100)),
          detail = 'head~ is followed by the number of versions to go back.',
          hint = 'Pass for example head or head~3.';
      end if;
      v_version := v_newest - kata_data.whole_number(substr(selector, 6));
    when 'time' then
      return kata_data.version_at_time(context_id, v_newest, kata_data.selector_time(selector));
    else
      v_version := (kata_data.find_checkpoint(context_id, selector)).version;
      if v_version is null then
        raise exception using
          errcode = 'KC014',
          message = format('checkpoint "%s" is unknown', coalesce(left(selector, 255), 'null')),
          detail = format('Neither context %s has a checkpoint of this name, nor an ancestor at or before the fork.', context_id),
          hint = 'Pass a checkpoint that kata.checkpoints lists, a version, head, head~3 or an ISO 8601 timestamp.';
      end if;
  end case;
  if v_version not between 0 and v_newest then
    raise exception using
      errcode = 'KC002',
      message = format('version "%s" not found', left(selector, 100)),
      detail = format('Context %s has versions 0 to %s.', context_id, v_newest),
      hint = format('Pass one of these, or head~%s at most.', v_newest);
  end if;
  return v_version;
end
$$;
comment on function kata.resolve_version(uuid, text) is
'The version that a selector resolves to.

context_id: the context.
selector: a version (42), head, head~3 (three versions before the newest), the name of a checkpoint (of the context, or of an ancestor
  at or before the fork; the nearest counts), or an ISO 8601 timestamp: the last version that was created at that time or before, 0
  if there is none. A timestamp without offset is in the time zone of the session, a date is its midnight. A timestamp before the
  newest entry always resolves to the same version.

Returns the version.
Errors: KC001, KC002, KC006, KC014 no checkpoint has this name, KC017. Cost: O(log n + fork depth).';

create or replace function kata_data.selector_time(selector text) returns timestamptz
language plpgsql stable
as $$
declare
  -- Digits below a microsecond are cut off: rounded up, they would mean a later entry.
  v_moment text := regexp_replace(replace(selector, ',', '.'), '([.][0-9]{6})[0-9]+', E'\\1');
begin
  if not pg_input_is_valid(v_moment, 'timestamptz') then
    raise exception using
      errcode = 'KC017',
      message = format('timestamp "%s" does not exist', left(selector, 100)),
      detail = 'It looks like a timestamp but is not a valid date or time.',
      hint = 'Pass an ISO 8601 timestamp, 2026-01-31T12:00:00Z for example.';
  end if;
  return v_moment::timestamptz;
end
$$;
comment on function kata_data.selector_time(text) is 'The time that a selector of the kind time means. KC017.';

create or replace function kata_data.whole_number(digits text) returns numeric
language sql immutable
as $$
  -- Twenty digits are beyond every version.
  select ('0' || left(ltrim(digits, '0'), 20))::numeric
$$;
comment on function kata_data.whole_number(text) is
'The number that digits mean, 0 for none; a very long one is cut, and still very large.';
