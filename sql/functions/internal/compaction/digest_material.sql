-- The parts of a digest, read once; its size is fitted afterwards. It says nothing of messages after the last version that the
-- compaction covers: an erasure finds the summaries that may repeat a message by that. Nor does it repeat what stays in the view.

create or replace function kata_data.digest_material(compaction kata_data.compaction, facts jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_plan bigint := (facts -> 'plan')::bigint;
  v_words bigint := (facts -> 'words')::bigint;
begin
  return jsonb_build_object(
    'plan', (
      select to_jsonb(string_to_array(kata_data.plan_in(m.tool_calls), E'\n')) from kata_data.digest_messages(compaction, array[v_plan]) m),
    'words', (
      select jsonb_build_object('version', m.version, 'text', m.content)
      from kata_data.digest_messages(compaction, array[v_words]) m),
    'requests', kata_data.digest_requests(compaction, facts),
    'failures', kata_data.digest_failures(compaction, facts),
    'summaries', (
      select string_agg(s.content, E'\n\n' order by s.place) from kata_data.absorbed_summaries(compaction) s where s.facts is null))
    || kata_data.digest_artifacts(compaction, 50, 60);
end
$$;
comment on function kata_data.digest_material(kata_data.compaction, jsonb) is
'The parts of a digest: an object with plan, words, requests, failures, changes, artifacts, and summaries, the words of models.

Parts without content are null. Cost: O(covered + artifacts).';

create or replace function kata_data.digest_messages(compaction kata_data.compaction, versions bigint[]) returns setof kata_data.message
language plpgsql stable rows 5
as $$
declare
  v_view kata_data.view;
  v_versions int8multirange;
begin
  select range_agg(int8range(v.version, v.version, '[]')) into v_versions
  from unnest(versions) v(version)
  where v.version is not null;
  if v_versions is null then
    return;
  end if;
  v_view := kata_data.view_at(compaction.context_id, compaction.base_version);
  return query
  select m.*
  from kata_data.words_at(
    compaction.context_id, compaction.base_version, v_versions - kata_data.hidden(v_view) - (kata_data.visible_at(v_view, compaction.base_version) - compaction.covered)) m;
end
$$;
comment on function kata_data.digest_messages(kata_data.compaction, bigint[]) is
'Those of some messages that a digest may repeat: they are neither deleted nor rewound, and leave the view or have left it.';

create or replace function kata_data.digest_requests(compaction kata_data.compaction, facts jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_first bigint;
begin
  v_first := (kata_data.first_request(compaction.context_id, compaction.base_version)).version;
  return (
    with request as materialized (
      select m.version, kata_data.own_words(m.content) as text, array_to_string(kata_data.media_of(m.parts), ' ') as media
      from kata_data.digest_messages(
        compaction,
        array(select v.version::bigint from jsonb_array_elements_text(facts -> 'requests') v(version)) || v_first) m
      where m.version < upper(compaction.covered)
    ),
    paragraph as (
      select r.version, p.place, p.text, row_number() over (partition by btrim(p.text) order by r.version, p.place) as rank
      from request r
      cross join lateral regexp_split_to_table(r.text, E'\n(?:[ \t]*\r?\n)+') with ordinality p(text, place)
    ),
    shortened as (
      -- Context that an agent sends with each request is long, and the same again.
      select p.version, coalesce(string_agg(p.text, E'\n\n' order by p.place) filter (where p.rank = 1 or length(p.text) < 200), '') as text
      from paragraph p
      group by p.version
      having bool_or(p.rank > 1 and length(p.text) >= 200)
    )
    select jsonb_agg(
      jsonb_strip_nulls(jsonb_build_object(
        'version', r.version, 'text', nullif(coalesce(s.text, r.text), ''), 'media', nullif(r.media, ''),
        'is_first', nullif(r.version = v_first, false), 'is_last', nullif(facts -> 'requests' @> to_jsonb(r.version), false)))
      order by r.version)
    from request r
    left join shortened s on s.version = r.version
    where coalesce(s.text, r.text, '') <> '' or r.media <> '');
end
$$;
comment on function kata_data.digest_requests(kata_data.compaction, jsonb) is
'The first and the last requests of the user, by version: version, text, media, is_first, is_last.

Long paragraphs that repeat an earlier one of them are left out.';

create or replace function kata_data.digest_failures(compaction kata_data.compaction, facts jsonb) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_agg(
      jsonb_build_object('version', m.version, 'command', kata_data.command_of(c.call), 'text', kata_data.without_secrets(kata_data.failure_shown(m.content)))
      order by m.version desc)
    from kata_data.digest_messages(
      compaction, array(select v.version::bigint from jsonb_array_elements_text(facts -> 'failures') v(version))) m
    cross join lateral kata_data.words_at(
      compaction.context_id, compaction.base_version, int8multirange(int8range(m.group_version, m.group_version, '[]'))) g
    cross join lateral jsonb_array_elements(g.tool_calls) c(call)
    where c.call ->> 'id' = m.tool_call_id);
end
$$;
comment on function kata_data.digest_failures(kata_data.compaction, jsonb) is
'The commands that failed, the newest first: version of the result, command, and text, the end of the result.';

create or replace function kata_data.digest_artifacts(compaction kata_data.compaction, files integer, others integer) returns jsonb
language plpgsql stable
as $$
begin
  return (
    with artifact as materialized (
      select a.*, a.kind = 'file' and a.detail ->> 'access' in ('listed', 'mentioned') as is_named
      from kata_data.path_artifacts(
        compaction.context_id, upper(compaction.covered) - 1, 1000,
        kata_data.view_at(compaction.context_id, compaction.base_version), compaction.base_version) a
    )
    select jsonb_build_object(
      'changes', (
        select jsonb_agg(
          concat(kata_data.indented(f.ref), ': ',
            case when f.detail ? 'renamed_to' then 'renamed to ' || kata_data.indented(f.detail ->> 'renamed_to')
              when f.detail ? 'deleted' then 'deleted' else 'written' end,
            format(' in version %s', f.changed_version),
            ': ' || nullif(case when not f.detail ? 'deleted' then kata_data.last_change(compaction, f.ref, f.changed_version) end, ''))
          order by f.changed_version desc, f.ref collate "C")
        from (
          select a.ref, a.detail, a.changed_version
          from artifact a
          where a.kind = 'file'
            and a.changed_version is not null
          order by a.changed_version desc, a.ref collate "C"
          limit files
        ) f),
      'artifacts', (
        select jsonb_agg(
          format('%s %s (last in version %s)', kata_data.indented(a.kind), kata_data.indented(a.ref), a.last_version)
          order by a.is_named, a.last_version desc, a.kind collate "C", a.ref collate "C")
        from (
          select a.*
          from artifact a
          where a.changed_version is null
          order by a.is_named, a.last_version desc, a.kind collate "C", a.ref collate "C"
          limit others
        ) a)));
end
$$;
comment on function kata_data.digest_artifacts(kata_data.compaction, integer, integer) is
'What a digest says of artifacts, a line each: changes, the files that were changed, with the last change, those changed last first;
artifacts, the others, those named last first, and files that no call read or changed behind them.';

create or replace function kata_data.last_change(compaction kata_data.compaction, file text, changed_version bigint) returns text
language plpgsql stable
as $$
begin
  return (
    select kata_data.written_by(c.call)
    from kata_data.digest_messages(compaction, array[changed_version]) m
    cross join lateral kata_data.words_at(
      compaction.context_id, compaction.base_version, int8multirange(int8range(m.group_version, m.group_version, '[]'))) g
    cross join lateral jsonb_array_elements(g.tool_calls) with ordinality c(call, place)
    where case
        -- An editor may name the open file in its result only.
        when m.role = 'tool' then c.call ->> 'id' = m.tool_call_id
        else position(file in replace(kata_data.call_arguments(c.call), E'\\\\', E'\\')) > 0
      end
    order by c.place desc
    limit 1);
end
$$;
comment on function kata_data.last_change(kata_data.compaction, text, bigint) is
'What the message at a version wrote to a file.';

create or replace function kata_data.written_by(call jsonb) returns text
language sql immutable
as $$
  select kata_data.without_secrets(coalesce(
    kata_data.one_line(kata_data.command_of(call), 150),
    concat(kata_data.one_line(o.old, 80) || ' → ', kata_data.one_line(n.new, 120)),
    kata_data.one_line(call #>> '{custom,input}', 150)))
  from (select kata_data.as_json(call #>> '{function,arguments}') as body) b
  cross join lateral kata_data.argument_like(b.body, '^(old_?(str(ing)?|text|source)|search)$') o(old)
  cross join lateral kata_data.argument_like(
    b.body, '^(new_?(str(ing)?|text|source)|(file_?)?(text|contents?)|insert_text|replace(ment)?|code_?edit|patch|diff)$') n(new)
$$;
comment on function kata_data.written_by(jsonb) is
'The beginning of what a call writes to a file, behind what that replaces, or the command that does it.';
