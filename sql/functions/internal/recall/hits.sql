-- Where terms occur on a path. Postings up to the mark of each segment, and above it the messages themselves, parsed here: both yield the
-- same rows, so a search is complete and the same whatever is indexed.

create or replace function kata_data.indexed_segments(context_id uuid, at bigint, config text)
returns table (segment_id uuid, first_version bigint, last_version bigint, indexed_through bigint)
language sql stable rows 1
as $$
  select s.segment_id, s.first_version, s.last_version, coalesce(m.indexed_through, s.first_version - 1)
  from kata_data.segments(indexed_segments.context_id, 1, at) s
  left join lateral (
    select m.indexed_through
    from kata_data.search_mark m
    where m.segment_id = s.segment_id
      and m.analyzer = kata_data.search_analyzer(config)
    offset 0
  ) m on true
$$;
comment on function kata_data.indexed_segments(uuid, bigint, text) is
'The segments of a path, and how far each is indexed by the present analyzer with a configuration.';

create or replace function kata_data.versions_to_index(context_id uuid) returns bigint
language plpgsql stable
as $$
begin
  return (
    select sum(greatest(s.last_version - s.indexed_through, 0))
    from kata_data.head h
    cross join lateral kata_data.indexed_segments(versions_to_index.context_id, h.version, kata_data.search_config(h.context_id)) s
    where h.context_id = versions_to_index.context_id
      and not h.closed);
end
$$;
comment on function kata_data.versions_to_index(uuid) is 'How many versions of a path are not indexed yet; null for a closed context.';

create or replace function kata_data.hits(context_id uuid, at bigint, config text, terms text[])
returns table (term integer, version bigint, weight integer)
language sql stable rows 1000
as $$
  with segment as materialized (
    select s.segment_id, s.first_version, s.last_version, s.indexed_through
    from kata_data.indexed_segments(hits.context_id, at, config) s
  ),
  amended as materialized (
    select w.version, w.term, w.weight from kata_data.amended_terms(hits.context_id, at, config) w
  )
  select t.ordinality::integer, p.first_version + (i.item >> 8), i.item & 255
  from segment s
  cross join unnest(terms) with ordinality t(term, ordinality)
  cross join lateral (
    select p.first_version, p.items
    from kata_data.posting p
    where p.segment_id = s.segment_id
      and p.term = t.term
      and p.first_version <= s.last_version
      and s.indexed_through >= s.first_version
    offset 0
  ) p
  cross join lateral unnest(p.items) i(item)
  where p.first_version + (i.item >> 8) <= s.last_version
    and p.first_version + (i.item >> 8) <> all (array(select a.version from amended a))
  union all
  select t.ordinality::integer, m.version, m.weight
  from segment s
  cross join lateral kata_data.message_terms(s.segment_id, greatest(s.indexed_through + 1, s.first_version), s.last_version, config) m
  join unnest(terms) with ordinality t(term, ordinality) on t.term = m.term
  where s.indexed_through < s.last_version
    and m.version <> all (array(select a.version from amended a))
  union all
  select t.ordinality::integer, a.version, a.weight
  from amended a
  join unnest(terms) with ordinality t(term, ordinality) on t.term = a.term
$$;
comment on function kata_data.hits(uuid, bigint, text, text[]) is
'One row per term and message of a path as of a version that holds it, in no order; deleted messages included, erased ones not. Amended
messages hold the terms of the words in force, which are parsed here.

terms: each once. Returns term (its place among them), version, weight (1 to 255).
Cost: O(log n per term and segment + rows), and the length of what is not indexed yet.';
