-- The summary that needs no model. Where things stand comes first, for models read the beginning best; what the user asked stands word for
-- word; the rest is where to find it. Facts of the digests that it absorbs are in their metadata, so nothing is read twice.

create or replace function kata_data.digest_text(compaction kata_data.compaction, out content text, out facts jsonb)
language plpgsql stable
as $$
declare
  v_room bigint := compaction.source_tokens / 3;
  v_tokenizer text := (select h.tokenizer from kata_data.head h where h.context_id = compaction.context_id);
  v_size record;
begin
  facts := kata_data.digest_facts(compaction);
  -- As much as fits a third of what it stands for: fewer artifacts first, which the index holds anyway, then fewer of the last requests.
  for v_size in
    select s.requests, s.artifacts
    from (values (5, 200), (5, 100), (5, 50), (5, 20), (5, 8), (5, 0), (3, 0), (1, 0)) s(requests, artifacts)
    order by s.requests desc, s.artifacts desc
  loop
    content := kata_data.render_digest(compaction, facts, v_size.requests, v_size.artifacts);
    exit when kata_data.message_tokens(content, null, null, v_tokenizer) <= v_room;
  end loop;
end
$$;
comment on function kata_data.digest_text(kata_data.compaction) is
'What stands for the messages that a compaction covers, made without a model, and the facts that it is made of. Cost: O(covered).';

create or replace function kata_data.is_gainless_digest(compaction kata_data.compaction) returns boolean
language plpgsql stable
as $$
declare
  v_tokenizer text := (select h.tokenizer from kata_data.head h where h.context_id = compaction.context_id);
begin
  if compaction.strategy <> 'digest' then
    return false;
  end if;
  return kata_data.message_tokens((kata_data.digest_text(compaction)).content, null, null, v_tokenizer) >= compaction.source_tokens;
end
$$;
comment on function kata_data.is_gainless_digest(kata_data.compaction) is
'Whether the digest of a compaction would gain nothing: it will be the same until there is more to cover, where a model may write a shorter one. Cost: O(covered).';

create or replace function kata_data.digest_facts(compaction kata_data.compaction) returns jsonb
language plpgsql stable
as $$
declare
  v_facts jsonb;
begin
  with message as materialized (
    select m.version, m.role, m.token_count
    from kata_data.path_messages(compaction.context_id, compaction.covered) m
  ),
  absorbed as materialized (
    select kata_data.facts_in(y.metadata) as facts
    from unnest(compaction.merged_summaries) s(version)
    cross join lateral kata_data.summary_of(compaction.context_id, s.version) y
    where kata_data.facts_in(y.metadata) is not null
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
    'tokens', (
      select coalesce((select sum(m.token_count) from message m), 0) + coalesce(sum((a.facts -> 'tokens')::bigint), 0) from absorbed a),
    'first_version', (select least((select min(m.version) from message m), min((a.facts -> 'first_version')::bigint)) from absorbed a),
    'last_version', (select max(m.version) from message m))
  into v_facts;
  return v_facts;
end
$$;
comment on function kata_data.digest_facts(kata_data.compaction) is
'What is counted for a digest, absorbed digests included: requests (the versions of the last five messages of the user), roles (messages of each), tokens,
first_version, last_version.';

create or replace function kata_data.facts_in(metadata jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  -- Metadata are the caller's: what only looks like a digest is a summary like any other.
  if jsonb_path_match(metadata -> 'digest', '
    $.requests.type() == "array" && $.roles.type() == "object" && $.tokens.type() == "number" && $.first_version.type() == "number"
    && !exists($.requests[*] ? (@.type() != "number")) && !exists($.roles.* ? (@.type() != "number"))
    && !exists($.** ? (@.type() == "number" && (@ < 0 || @ > 1000000000000 || @ != @.floor())))', silent => true) then
    return metadata -> 'digest';
  end if;
  return null;
end
$$;
comment on function kata_data.facts_in(jsonb) is 'The facts of a digest in the metadata of a summary, as digest_facts made them; null where it is no digest.';

create or replace function kata_data.render_digest(compaction kata_data.compaction, facts jsonb, requests integer, artifacts integer) returns text
language plpgsql stable
as $$
declare
  v_end bigint := upper(compaction.covered) - 1;
  v_first_request kata_data.message := kata_data.first_request(compaction.context_id, compaction.base_version);
  v_deleted int8multirange := (kata_data.view_at(compaction.context_id, compaction.base_version)).deleted;
  v_requests text := (
    select string_agg(format(E'[version %s]\n%s', m.version, kata_data.fenced(coalesce(m.content, ''))), E'\n' order by m.version)
    from (
      select r.version::bigint from jsonb_array_elements_text(facts -> 'requests') r(version) order by r.version::bigint desc limit requests
    ) r
    cross join lateral kata_data.path_messages(compaction.context_id, int8multirange(int8range(r.version, r.version, '[]')) - v_deleted) m);
  v_artifacts text := (
    select string_agg(format('%s %s (last in version %s)', kata_data.indented(a.kind), kata_data.indented(a.ref), a.last_version), E'\n' order by a.last_version desc, a.kind, a.ref)
    from (
      select a.kind, a.ref, a.last_version
      from kata_data.path_artifacts(compaction.context_id, v_end, 1000) a
      order by a.last_version desc, a.kind, a.ref
      limit artifacts
    ) a);
  -- What a model has written before is kept as it is.
  v_earlier text := (
    select string_agg(y.content, E'\n\n' order by lower(y.covered))
    from unnest(compaction.merged_summaries) s(version)
    cross join lateral kata_data.summary_of(compaction.context_id, s.version) y
    where kata_data.facts_in(y.metadata) is null);
begin
  return concat_ws(E'\n\n',
    format('Versions %s to %s are left out here: %s messages (%s), %s tokens. Each can be read by its version.',
      facts -> 'first_version', facts -> 'last_version',
      (select sum(r.value::bigint) from jsonb_each_text(facts -> 'roles') r),
      (select string_agg(format('%s %s', r.value, r.key), ', ' order by r.key) from jsonb_each_text(facts -> 'roles') r),
      facts -> 'tokens'),
    E'Last messages of the user:\n' || v_requests,
    E'First message of the user:\n' || case when v_first_request.version <= v_end and not coalesce(facts -> 'requests' @> to_jsonb(v_first_request.version), false)
      then format(E'[version %s]\n%s', v_first_request.version, kata_data.fenced(v_first_request.content)) end,
    E'Artifacts, last touched first:\n' || v_artifacts,
    E'Summary before:\n' || v_earlier);
end
$$;
comment on function kata_data.render_digest(kata_data.compaction, jsonb, integer, integer) is
'A digest with at most so many of the last requests and of the artifacts. It tells of nothing after the last version that the compaction covers: what may have
to be erased is found by that.';

create or replace function kata_data.fenced(content text) returns text
language sql immutable
as $$
  select concat(f.fence, E'\n', content, E'\n', f.fence)
  from (
    select repeat('`', greatest(3, 1 + coalesce(max(length(r.run[1])), 0))) as fence
    from regexp_matches(content, '`+', 'g') r(run)
  ) f
$$;
comment on function kata_data.fenced(text) is
'A text as a digest quotes it, word for word: between fences of more backticks than it has in a row, so that it cannot pass for a line of the digest.';

create or replace function kata_data.indented(content text) returns text
language sql immutable
as $$
  -- \x0b is the vertical tab: not every server knows it as \v.
  select regexp_replace(content, E'(\r\n|[\n\x0b\f\r\u0085\u2028\u2029])', E'\\1  ', 'g')
$$;
comment on function kata_data.indented(text) is
'A text as a digest quotes it: word for word, every line after the first set in, so that none is taken for a line of the digest itself.';

create or replace function kata_data.first_request(context_id uuid, at bigint) returns kata_data.message
language plpgsql stable
as $$
declare
  v_message kata_data.message;
  v_deleted int8multirange := (kata_data.view_at(context_id, at)).deleted;
begin
  select m.* into v_message
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(first_request.context_id, 1, at) s
    order by s.first_version
    offset 0
  ) s
  cross join lateral (
    select m.*
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
      and m.role = 'user'
      and not v_deleted @> m.version
    order by m.version
    limit 1
  ) m
  limit 1;
  return v_message;
end
$$;
comment on function kata_data.first_request(uuid, bigint) is 'The first message of the user that is not deleted; all null where there is none.';
