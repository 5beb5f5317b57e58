-- Lines of an archive become rows. Numbers of this database are looked up; a line that no caller could have stored, or
-- that names another family, is refused. Whether the rows are a history is for finish_import to verify.

create or replace function kata_data.store_lines(import kata_data.family_import, part kata_data.archive_part, lines jsonb, numbers bigint[]) returns void
language plpgsql volatile
as $$
declare
  v_insert text;
  v_line record;
  v_row jsonb;
begin
  v_insert := (
    select format(
        'insert into kata_data.%1$I (%2$s) select %3$s from jsonb_array_elements($1) with ordinality l(line, place)
        cross join lateral jsonb_populate_record(null::kata_data.%1$I, l.line) r order by l.place',
        part.part, string_agg(quote_ident(c.name), ', '),
        string_agg(case when c.is_json then format('l.line -> %L', c.name) else format('r.%I', c.name) end, ', '))
    from kata_data.archive_columns(part.part) c);
  if part.part = part.source then
    execute v_insert using lines;
  else
    -- One by one: a view change may name those before it.
    for v_line in select l.line, l.place from jsonb_array_elements(lines) with ordinality l(line, place) order by l.place loop
      v_row := kata_data.row_of_line(import, import.lines + numbers[v_line.place], part.part, v_line.line);
      if v_row is not null then
        execute v_insert using jsonb_build_array(v_row);
      end if;
    end loop;
  end if;
  if part.part in ('message', 'record') then
    insert into kata_data.entry_id (segment_id, external_id, version)
    select (l.line ->> 'segment_id')::uuid, l.line ->> 'external_id', (l.line ->> 'version')::bigint
    from jsonb_array_elements(lines) l(line)
    where l.line ->> 'external_id' is not null;
  end if;
end
$$;
comment on function kata_data.store_lines(kata_data.family_import, kata_data.archive_part, jsonb, bigint[]) is
'Stores lines of a part, without its name. numbers: of these lines in the batch. KC017.';

create or replace function kata_data.row_of_line(import kata_data.family_import, number bigint, part text, line jsonb) returns jsonb
language plpgsql volatile
as $$
declare
  v_context_id uuid := coalesce(line ->> 'context_id', line ->> 'segment_id')::uuid;
  v_change_id bigint;
begin
  case part
    when 'view_change' then
      v_change_id := nextval('kata_data.change_id');
      return line || jsonb_build_object(
        'change_id', v_change_id,
        'elisions', kata_data.changes_of_versions(v_context_id, line -> 'elisions', (line ->> 'version')::bigint, v_change_id),
        'amendments', kata_data.changes_of_versions(v_context_id, line -> 'amendments', (line ->> 'version')::bigint, v_change_id));
    when 'stub' then
      return kata_data.line_on_path(number, v_context_id, line) || jsonb_build_object(
        'change_id', kata_data.change_of_version(v_context_id, line -> 'change_version'),
        'amendment_id', kata_data.change_of_version(v_context_id, line -> 'amendment_version'));
    when 'amendment' then
      return kata_data.amendment_of_line(number, v_context_id, line) || jsonb_build_object(
        'change_id', kata_data.change_of_version(v_context_id, line -> 'change_version'),
        'base_change_id', kata_data.change_of_version(v_context_id, line -> 'base_version'));
    when 'request' then
      return line || jsonb_build_object('profile_id', (
        select min(p.profile_id)
        from kata_data.request_profile p
        where p.tenant = import.tenant
          and p.digest = (line ->> 'profile_digest')::bytea));
    when 'idempotency' then
      return line || jsonb_build_object('scope', 'context:' || v_context_id);
    when 'tool_list' then
      return kata_data.tools_of_line(number, line || jsonb_build_object('tenant', import.tenant));
    else
      -- A profile.
      return kata_data.profile_of_line(number, line || jsonb_build_object('tenant', import.tenant));
  end case;
end
$$;
comment on function kata_data.row_of_line(kata_data.family_import, bigint, text, jsonb) is
'A line of a part whose source is a view as a row of its table; null where the row is there already. number: of the line. KC017.';

create or replace function kata_data.change_of_version(context_id uuid, version jsonb) returns bigint
language plpgsql volatile
as $$
begin
  return (
    select c.change_id
    from kata_data.segments(context_id, version::bigint, version::bigint) s
    join kata_data.view_change c on c.segment_id = s.segment_id and c.version = change_of_version.version::bigint);
end
$$;
comment on function kata_data.change_of_version(uuid, jsonb) is
'The number of the view change that has a version on the path of a context; null for none.';

create or replace function kata_data.changes_of_versions(context_id uuid, versions jsonb, own_version bigint, own_change_id bigint)
returns bigint[]
language plpgsql volatile
as $$
begin
  return array(
    select case when v.version = to_jsonb(own_version) then own_change_id else kata_data.change_of_version(context_id, v.version) end
    from jsonb_array_elements(versions) with ordinality v(version, place)
    order by v.place);
end
$$;
comment on function kata_data.changes_of_versions(uuid, jsonb, bigint, bigint) is
'The numbers of the view changes that have versions on the path of a context, in their order. own_version: that of a change without a row yet.';

create or replace function kata_data.line_on_path(number bigint, context_id uuid, line jsonb) returns jsonb
language plpgsql stable
as $$
begin
  if not exists (
    select
    from kata_data.segments(context_id, (line ->> 'version')::bigint, (line ->> 'version')::bigint) s
    where s.segment_id = (line ->> 'segment_id')::uuid) then
    perform kata_data.refuse_archive(number, 'Its message is not on the path of its context.');
  end if;
  return line;
end
$$;
comment on function kata_data.line_on_path(bigint, uuid, jsonb) is 'The line of a stub or an amendment. Refuses a message that is not on the path of its context. KC017.';

create or replace function kata_data.amendment_of_line(number bigint, context_id uuid, line jsonb) returns jsonb
language plpgsql volatile
as $$
declare
  v_amendment kata_data.amendment := jsonb_populate_record(null::kata_data.amendment, line);
  v_said kata_data.message;
  v_problem text;
begin
  perform kata_data.line_on_path(number, context_id, line);
  if not kata_data.holds_messages(context_id, int8multirange(int8range(v_amendment.version, v_amendment.version, '[]'))) then
    v_problem := 'What it amends is not a message or a summary.';
  elsif v_amendment.salt is not null then
    v_said := kata_data.said_at(context_id, v_amendment.version);
    -- Set, or it would be taken for none.
    v_amendment.change_id := 0;
    v_problem := kata_data.amended_problem(v_said, kata_data.amended(v_said, v_amendment));
  end if;
  if v_problem is not null then
    perform kata_data.refuse_archive(number, v_problem);
  end if;
  return line;
end
$$;
comment on function kata_data.amendment_of_line(bigint, uuid, jsonb) is
'The line of an amendment. Refuses one that is not on the path of its context, or that kata.amend would refuse for its words. KC017.';

create or replace function kata_data.tools_of_line(number bigint, line jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_tools kata_data.tool_list := jsonb_populate_record(null::kata_data.tool_list, line);
begin
  if v_tools.digest is distinct from sha256(convert_to(v_tools.content, 'UTF8')) then
    perform kata_data.refuse_archive(number, 'Its digest is not that of the tools.');
  end if;
  perform kata_data.check_tools(v_tools.content);
  return case
    when not exists (select from kata_data.tool_list t where t.tenant = v_tools.tenant and t.digest = v_tools.digest) then line
  end;
end
$$;
comment on function kata_data.tools_of_line(bigint, jsonb) is 'The line of a list of tools; null where the tenant has it. KC017.';

create or replace function kata_data.profile_of_line(number bigint, line jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_profile kata_data.request_profile := jsonb_populate_record(null::kata_data.request_profile, line);
  v_tools text;
begin
  perform kata_data.check_profile(v_profile);
  perform kata_data.check_options(v_profile.options);
  if (v_profile.digest, v_profile.prefix_digest)
    is distinct from (kata_data.profile_digest(v_profile), kata_data.prefix_digest(v_profile)) then
    perform kata_data.refuse_archive(number, 'Its digest is not that of the profile.');
  end if;
  v_tools := kata_data.tool_text(v_profile.tenant, v_profile.tools_digest);
  return case
    -- The tenant's other families come to use it, too: what it counts is not for an archive to say.
    when not exists (select from kata_data.request_profile p where p.tenant = v_profile.tenant and p.digest = v_profile.digest)
      then line || jsonb_build_object('tools_tokens', case when v_tools is null then 0 else kata_data.estimate_tokens(v_tools) end)
  end;
end
$$;
comment on function kata_data.profile_of_line(bigint, jsonb) is 'The line of a profile; null where the tenant has it. KC017.';

create or replace function kata_data.line_problem(part text, line jsonb, columns text[]) returns text
language plpgsql stable
as $$
begin
  if jsonb_typeof(line) is distinct from 'object' then
    return format('It is %s, not an object.', coalesce(jsonb_typeof(line), 'null'));
  elsif line - columns <> '{}' then
    return format('Its key %s is unknown.', left(jsonb_path_query_first(line - columns, '$.keyvalue().key')::text, 100));
  elsif length(line ->> 'external_id') not between 1 and 255 then
    return format('Its external_id has %s characters, not 1 to 255.', length(line ->> 'external_id'));
  elsif kata_data.time_problem(line, columns) is not null then
    return kata_data.time_problem(line, columns);
  elsif part in ('message', 'amendment', 'summary') and jsonb_path_exists(line, '$.* ? (@ == null)') then
    return 'A key of it is null: what it has not is left out.';
  elsif part = 'summary' and line ? 'salt' then
    return case
      when kata_data.is_blank(line ->> 'content') then 'It is blank.'
      else kata_data.message_problem(jsonb_populate_record(null::kata_data.message, line - 'token_source'))
    end;
  elsif part = 'message' and line ? 'salt' then
    return case
      when not kata_data.is_moment(line ->> 'occurred_at') then 'Its occurred_at is not a moment.'
      else kata_data.message_problem(jsonb_populate_record(
        null::kata_data.message, case line ->> 'token_source' when 'estimate' then line - 'token_source' else line end))
    end;
  elsif part = 'record' and line ? 'salt' then
    perform kata_data.check_record(line ->> 'kind', line -> 'data', line ->> 'external_id');
  elsif part = 'context' then
    perform kata_data.check_metadata(line -> 'metadata'), kata_data.check_policy(line -> 'policy');
  end if;
  return case
    when exists (select from jsonb_each(line) e where jsonb_typeof(e.value) in ('object', 'array') and not kata_data.json_fits(e.value))
      then 'It nests more than 100 deep, or holds a number beyond 1e308.'
  end;
end
$$;
comment on function kata_data.line_problem(text, jsonb, text[]) is
'A sentence on what is wrong with a line of a part by itself; null if nothing is. columns: those of its source. KC013, KC017.';

create or replace function kata_data.time_problem(line jsonb, columns text[]) returns text
language plpgsql stable
as $$
begin
  -- A caller says when a message occurred, and a context may be due at any time to come.
  return (
    select format('Its %s is %s, which is not a time until now.', t.name, left(t.value, 100))
    from (
      select c.name, line ->> c.name as value,
        case when pg_input_is_valid(line ->> c.name, 'timestamptz') then (line ->> c.name)::timestamptz end as moment
      from unnest(columns) c(name)
      where right(c.name, 3) = '_at'
        and c.name <> 'occurred_at'
    ) t
    where not isfinite(t.moment) and (t.name, t.value) <> ('last_at', '-infinity')
      -- Clients have no year before 1.
      or t.moment < '0001-01-02'::timestamptz and isfinite(t.moment)
      -- Clocks differ, and a lease ends within a day.
      or t.name <> 'due_at' and t.moment > kata_data.clock() + interval '2 days'
    limit 1);
end
$$;
comment on function kata_data.time_problem(jsonb, text[]) is
'A sentence on a time of a line that is infinite or to come, beyond what clocks differ in; null for none. A context''s entries never go back in
time, so one of the future would hold all that follow.';
