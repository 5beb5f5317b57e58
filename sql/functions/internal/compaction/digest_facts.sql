-- The facts of a digest: numbers, and the versions of what it quotes. They are kept in its metadata, where the next digest finds them.

create or replace function kata_data.digest_facts(compaction kata_data.compaction) returns jsonb
language plpgsql stable
as $$
declare
  v_facts jsonb;
begin
  with message as materialized (
    select m.version, m.role, m.token_count, kata_data.media_of(m.parts) as media,
      m.role = 'assistant' and not kata_data.is_blank(m.content) as has_words,
      m.role = 'assistant' and kata_data.plan_in(m.tool_calls) is not null as has_plan
    from kata_data.words_at(compaction.context_id, compaction.base_version, compaction.covered) m
  ),
  absorbed as materialized (
    select s.facts from kata_data.absorbed_summaries(compaction) s where s.facts is not null
  )
  select jsonb_build_object(
    'requests', coalesce((
      select jsonb_agg(r.version order by r.version)
      from (
        select r.version
        from (
          select m.version from message m where m.role = 'user'
          union
          select v.version::bigint from absorbed a cross join lateral jsonb_array_elements_text(a.facts -> 'requests') v(version)
        ) r
        order by r.version desc
        limit 5
      ) r), '[]'),
    'failures', kata_data.last_failures(compaction, (
      select range_agg(int8range(v.version::bigint, v.version::bigint, '[]'))
      from absorbed a
      cross join lateral jsonb_array_elements_text(a.facts -> 'failures') v(version))),
    'words', greatest((select max(m.version) from message m where m.has_words), (select max((a.facts -> 'words')::bigint) from absorbed a)),
    'plan', greatest((select max(m.version) from message m where m.has_plan), (select max((a.facts -> 'plan')::bigint) from absorbed a)),
    'roles', coalesce((
      select jsonb_object_agg(r.role, r.messages)
      from (
        select r.role, sum(r.messages) as messages
        from (
          select m.role, 1 as messages from message m
          union all
          select c.key, c.value::bigint from absorbed a cross join lateral jsonb_each_text(a.facts -> 'roles') c
        ) r
        group by r.role
      ) r), '{}'),
    'media', (
      select coalesce((select sum(cardinality(m.media)) from message m), 0) + coalesce(sum((a.facts -> 'media')::bigint), 0) from absorbed a),
    'tokens', (
      select coalesce((select sum(m.token_count) from message m), 0) + coalesce(sum((a.facts -> 'tokens')::bigint), 0) from absorbed a),
    'first_version', (select least((select min(m.version) from message m), min((a.facts -> 'first_version')::bigint)) from absorbed a),
    'last_version', (select max(m.version) from message m))
  into v_facts;
  return jsonb_strip_nulls(v_facts);
end
$$;
comment on function kata_data.digest_facts(kata_data.compaction) is
'The facts of a digest, absorbed digests included.

Returns an object. Numbers: roles (messages of each), media (images, files and sounds), tokens, first_version, last_version. Versions:
requests (the last five messages of the user), words (the last message in which the assistant wrote), plan (its last plan), failures
(the results of commands that failed, at most three).';

create or replace function kata_data.absorbed_summaries(compaction kata_data.compaction)
returns table (version bigint, content text, facts jsonb, place bigint)
language plpgsql stable rows 5
as $$
declare
  v_amendments bigint[];
begin
  v_amendments := (kata_data.view_at(compaction.context_id, compaction.base_version)).amendments;
  return query
  select s.version, (kata_data.amended_summary(y, v_amendments)).content,
    case
      when not exists (select from kata_data.amendment_of(y.segment_id, y.version, y.version, v_amendments) a)
      then kata_data.facts_in(y.metadata)
    end,
    lower(y.covered)
  from unnest(compaction.merged_summaries) s(version)
  cross join lateral kata_data.summary_of(compaction.context_id, s.version) y;
end
$$;
comment on function kata_data.absorbed_summaries(kata_data.compaction) is
'The summaries that a compaction absorbs, in the words in force when it began; facts of those that are digests as they were made.

The facts of an amended digest say nothing of its words: it is a summary like any other.';

create or replace function kata_data.facts_in(metadata jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  -- Metadata are the caller's: a summary that only looks like a digest is a summary like any other.
  if jsonb_path_match(metadata -> 'digest', '
    $.requests.type() == "array" && $.failures.type() == "array" && $.roles.type() == "object" && $.tokens.type() == "number"
    && $.media.type() == "number" && $.first_version.type() == "number" && !exists($.words ? (@.type() != "number"))
    && !exists($.plan ? (@.type() != "number")) && !exists($.requests[*] ? (@.type() != "number"))
    && !exists($.failures[*] ? (@.type() != "number")) && !exists($.roles.* ? (@.type() != "number"))
    && !exists($.** ? (@.type() == "number" && (@ < 0 || @ > 1000000000000 || @ != @.floor())))', silent => true) then
    return metadata -> 'digest';
  end if;
  return null;
end
$$;
comment on function kata_data.facts_in(jsonb) is
'The facts of a digest in the metadata of a summary; null where the summary is not a digest.

They are as digest_facts made them.';
