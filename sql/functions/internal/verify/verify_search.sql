-- The index for searches agrees with the log. Where the present analyzer made it, messages are parsed again: a term is in both or in none.

create or replace function kata_data.verify_search(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
declare
  v_config text;
begin
  v_config := kata_data.search_config(context_id);
  return query
  select null::bigint, 'search mark',
    format('Its messages are indexed up to version %s, and its own versions are %s to %s.', k.indexed_through, o.start + 1, h.version)
  from kata_data.search_mark k
  join kata_data.head h on h.context_id = k.segment_id
  cross join lateral kata_data.segment_start(k.segment_id) o(start)
  where k.segment_id = verify_search.context_id
    and k.indexed_through not between o.start and h.version;
  return query
  select p.first_version, 'search index', format('The items of "%s" are empty or do not ascend.', left(p.term, 100))
  from kata_data.posting p
  where p.segment_id = verify_search.context_id
    and (p.items = '{}' or p.items <> array(select distinct i.item from unnest(p.items) i(item) order by i.item));
  return query
  with expected as materialized (
    select t.term, t.version, t.weight
    from kata_data.search_mark k
    cross join lateral kata_data.message_terms(k.segment_id, kata_data.segment_start(k.segment_id) + 1, k.indexed_through, v_config) t
    where k.segment_id = verify_search.context_id
      and k.analyzer = kata_data.search_analyzer(v_config)
  ),
  stored as materialized (
    select p.term, p.first_version + (i.item >> 8) as version, i.item & 255 as weight
    from kata_data.posting p
    cross join lateral unnest(p.items) i(item)
    where p.segment_id = verify_search.context_id
  )
  select coalesce(s.version, e.version), 'search index', format('%s of its terms differ from those of the message.', count(*))
  from stored s
  full join expected e on e.term = s.term and e.version = s.version
  where s.weight is distinct from e.weight
    -- Of another analyzer only this is known: a message that is gone has no terms.
    and (
      exists (
        select from kata_data.search_mark k
        where k.segment_id = verify_search.context_id
          and k.analyzer = kata_data.search_analyzer(v_config))
      or not exists (
        select from kata_data.message m
        where m.segment_id = verify_search.context_id
          and m.version = s.version)
      or exists (
        select from kata_data.erasure r
        where r.segment_id = verify_search.context_id
          and r.version = s.version))
  group by coalesce(s.version, e.version);
end
$$;
comment on function kata_data.verify_search(uuid) is
'Damage in the index for searches of what a context wrote itself. Cost: linear in the length of its indexed messages.';

create or replace function kata_data.search_rows_without_context() returns table (segment_id uuid, version bigint, detail text)
language sql stable rows 10
as $$
  select o.segment_id, null::bigint, format('%s belongs to no context.', o.what)
  from (
    select k.segment_id, 'A mark of indexed messages' as what from kata_data.search_mark k
    union
    select p.segment_id, 'A posting' from kata_data.posting p
  ) o
  where not exists (select from kata_data.head h where h.context_id = o.segment_id)
$$;
comment on function kata_data.search_rows_without_context() is 'Segments with rows of the index for searches that belong to no context.';
