-- The text of a digest, part by part; a part without content is left out. It says nothing of messages after the last version that the
-- compaction covers: an erasure finds the summaries that may repeat a message by that.

create or replace function kata_data.render_digest(compaction kata_data.compaction, facts jsonb, requests integer, artifacts integer) returns text
language plpgsql stable
as $$
begin
  return concat_ws(E'\n\n',
    format('Versions %s to %s are left out here: %s messages (%s), %s tokens. Each can be read by its version.',
      facts -> 'first_version', facts -> 'last_version',
      (select sum(r.value::bigint) from jsonb_each_text(facts -> 'roles') r),
      (select string_agg(format('%s %s', r.value, r.key), ', ' order by r.key) from jsonb_each_text(facts -> 'roles') r),
      facts -> 'tokens'),
    E'Last messages of the user:\n' || kata_data.last_requests(compaction, facts, requests),
    E'First message of the user:\n' || kata_data.first_request_unless_last(compaction, facts),
    E'Artifacts, last touched first:\n' || kata_data.newest_artifacts(compaction, artifacts),
    E'Summary before:\n' || kata_data.summaries_of_models(compaction));
end
$$;
comment on function kata_data.render_digest(kata_data.compaction, jsonb, integer, integer) is
'A digest with at most so many of the last requests and of the artifacts.';

create or replace function kata_data.last_requests(compaction kata_data.compaction, facts jsonb, requests integer) returns text
language plpgsql stable
as $$
declare
  v_deleted int8multirange;
begin
  v_deleted := (kata_data.view_at(compaction.context_id, compaction.base_version)).deleted;
  return (
    select string_agg(kata_data.quoted_request(m.version, m.content), E'\n' order by m.version)
    from (
      select r.version::bigint from jsonb_array_elements_text(facts -> 'requests') r(version) order by r.version::bigint desc limit requests
    ) r
    cross join lateral kata_data.path_messages(compaction.context_id, int8multirange(int8range(r.version, r.version, '[]')) - v_deleted) m);
end
$$;
comment on function kata_data.last_requests(kata_data.compaction, jsonb, integer) is
'The last of the user''s messages that a digest counts, word for word; null where there is none.

Messages deleted since are left out.';

create or replace function kata_data.first_request_unless_last(compaction kata_data.compaction, facts jsonb) returns text
language plpgsql stable
as $$
declare
  v_request kata_data.message;
begin
  v_request := kata_data.first_request(compaction.context_id, compaction.base_version);
  return case
    when v_request.version < upper(compaction.covered) and not coalesce(facts -> 'requests' @> to_jsonb(v_request.version), false)
      then kata_data.quoted_request(v_request.version, v_request.content)
  end;
end
$$;
comment on function kata_data.first_request_unless_last(kata_data.compaction, jsonb) is
'The first message of the user, word for word, if a digest covers it and does not show it already.

Null otherwise.';

create or replace function kata_data.quoted_request(version bigint, content text) returns text
language sql stable
as $$
  select format(E'[version %s]\n%s', version, kata_data.code_fenced(coalesce(content, '')))
$$;
comment on function kata_data.quoted_request(bigint, text) is 'A message of the user as a digest shows it.';

create or replace function kata_data.newest_artifacts(compaction kata_data.compaction, artifacts integer) returns text
language plpgsql stable
as $$
begin
  return (
    select string_agg(format('%s %s (last in version %s)', kata_data.indented(a.kind), kata_data.indented(a.ref), a.last_version),
      E'\n' order by a.last_version desc, a.kind, a.ref)
    from (
      select a.kind, a.ref, a.last_version
      from kata_data.path_artifacts(compaction.context_id, upper(compaction.covered) - 1, 1000) a
      order by a.last_version desc, a.kind, a.ref
      limit artifacts
    ) a);
end
$$;
comment on function kata_data.newest_artifacts(kata_data.compaction, integer) is
'The artifacts that a digest lists, a line each, those named last first; null where there is none.

As of the last version that the compaction covers.';

create or replace function kata_data.summaries_of_models(compaction kata_data.compaction) returns text
language plpgsql stable
as $$
begin
  return (
    select string_agg(y.content, E'\n\n' order by lower(y.covered))
    from unnest(compaction.merged_summaries) s(version)
    cross join lateral kata_data.summary_of(compaction.context_id, s.version) y
    where kata_data.facts_in(y.metadata) is null);
end
$$;
comment on function kata_data.summaries_of_models(kata_data.compaction) is
'The texts of absorbed summaries that are not digests; null where there is none.

The words of a model are kept.';
