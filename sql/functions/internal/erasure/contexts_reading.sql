-- Which contexts see an entry of the log, and which of their summaries may repeat it.

create or replace function kata_data.contexts_reading(segment_id uuid, version bigint) returns table (context_id uuid)
language plpgsql stable rows 10
as $$
begin
  return query
  select f.context_id
  from kata_data.context o
  cross join lateral (
    select o.family_id as context_id
    union all
    select c.context_id
    from kata_data.context c
    where c.family_id = o.family_id
      and c.parent_id is not null
    offset 0
  ) f
  cross join lateral (
    select
    from kata_data.lineage l
    where l.context_id = f.context_id
      and l.segment_id = contexts_reading.segment_id
      and contexts_reading.version between l.first_version and l.last_version
    offset 0
  ) l
  where o.context_id = contexts_reading.segment_id;
end
$$;
comment on function kata_data.contexts_reading(uuid, bigint) is
'The contexts whose path contains a version of a segment. Cost: O(family × fork depth).';

create or replace function kata_data.summaries_of(segment_id uuid, version bigint) returns setof kata_data.concerned_entry
language plpgsql stable rows 10
as $$
begin
  return query
  select y.segment_id, y.version, 'summary'
  from kata_data.contexts_reading(summaries_of.segment_id, summaries_of.version) r
  cross join lateral (
    select y.segment_id, y.version, y.covered
    from kata_data.summary y
    where y.segment_id = r.context_id
    offset 0
  ) y
  where upper(y.covered) > summaries_of.version
  order by y.segment_id, y.version;
end
$$;
comment on function kata_data.summaries_of(uuid, bigint) is
'The summaries, of every context that reads an entry, that may repeat it.

They cover it, or messages after it, so that their writer was shown its artifacts. Cost: O(family × fork depth + its summaries).';
