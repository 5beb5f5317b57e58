-- Terms of a query, and the facts of a path that a search needs before it looks anything up.

create or replace function kata_data.check_query(query text) returns void
language plpgsql immutable
as $$
begin
  if query ~ E'\\S' collate kata_data.c_utf8 and length(query) <= 65536 then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = case when query ~ E'\\S' collate kata_data.c_utf8 then 'query is too long' else 'query is empty' end,
    detail = case
      when query is null then 'It is null.'
      else format('It has %s characters.', length(query))
    end,
    hint = 'Pass words that messages hold, at most 65536 characters.';
end
$$;
comment on function kata_data.check_query(text) is 'Refuses a query that is empty, or longer than what is indexed of a message. KC017.';

create or replace function kata_data.query_terms(context_id uuid, at bigint, config text, query text) returns text[]
language plpgsql stable
as $$
declare
  v_terms text[];
begin
  v_terms := array(select t.term from kata_data.terms(config, query) t order by t.term collate "C");
  if cardinality(v_terms) <= 64 then
    return v_terms;
  end if;
  -- A pasted page: its rarest terms say what it is about. Those that occur nowhere are none.
  return array(
    select v_terms[h.term]
    from kata_data.hits(query_terms.context_id, query_terms.at, config, v_terms) h
    group by h.term
    order by count(*), h.term
    limit 64);
end
$$;
comment on function kata_data.query_terms(uuid, bigint, text, text) is
'The terms of a query, each once; where it has more than 64, those that the fewest messages of the path hold.';

create or replace function kata_data.change_versions(context_id uuid, at bigint, view_version bigint) returns bigint[]
language sql stable
as $$
  select case
    when view_version is null then '{}'
    else array(
      select c.version
      from kata_data.changes_among(change_versions.context_id, int8multirange(int8range(1, at + 1))) c
      order by c.version)
  end
$$;
comment on function kata_data.change_versions(uuid, bigint, bigint) is
'The versions of a path that are view changes, ascending: taking them out turns versions into places of messages.

view_version: as the head has it. Cost: O(view changes).';

create or replace function kata_data.version_at_place(place bigint, changes_before bigint[]) returns bigint
language sql immutable
as $$
  select place + width_bucket(place - 1, changes_before)
$$;
comment on function kata_data.version_at_place(bigint, bigint[]) is
'The version of the message that has a place among the messages of a path.

changes_before: of each view change, how many messages come before it, ascending.';

create or replace function kata_data.silent_versions(context_id uuid, at bigint, deleted int8multirange) returns int8multirange
language plpgsql stable
as $$
begin
  return deleted + coalesce((
    select range_agg(int8range(e.version, e.version + 1))
    from kata_data.segments(silent_versions.context_id, 1, at) s
    cross join lateral (
      select e.version
      from kata_data.erasure e
      where e.segment_id = s.segment_id
        and e.version between s.first_version and s.last_version
      offset 0
    ) e), '{}');
end
$$;
comment on function kata_data.silent_versions(uuid, bigint, int8multirange) is
'The versions that are neither found nor lend a score to neighbors: deleted and erased ones. Cost: O(erasures of the path).';

create or replace function kata_data.covering_summary(view kata_data.view, version bigint) returns bigint
language sql immutable
as $$
  select c.version
  from unnest(view.replacements, view.covers) c(version, covers)
  where c.covers @> covering_summary.version
$$;
comment on function kata_data.covering_summary(kata_data.view, bigint) is 'The summary that covers a message in a view; null for none.';

create or replace function kata_data.check_max_tokens(max_tokens integer) returns void
language plpgsql immutable
as $$
begin
  if max_tokens > 0 or max_tokens is null then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'max_tokens must be a positive number of tokens',
    detail = format('It is %s.', max_tokens),
    hint = 'Pass how many tokens the rows may take, or null for no limit.';
end
$$;
comment on function kata_data.check_max_tokens(integer) is 'Refuses a limit of tokens that is not positive. KC017.';
