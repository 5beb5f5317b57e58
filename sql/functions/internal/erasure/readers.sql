-- Who reads an entry that is to be erased: the segments that hold copies of it, the contexts that see it, the summaries that may tell of it.

create or replace function kata_data.copy_segments(context_id uuid, version bigint) returns uuid[]
language plpgsql stable
as $$
begin
  return array(
    select distinct c.segment_id
    from kata_data.segments(copy_segments.context_id, copy_segments.version, copy_segments.version) s
    left join lateral (
      select o.origin_segment_id, o.origin_version
      from kata_data.merge_origin o
      where o.segment_id = s.segment_id
        and o.version = s.first_version
      offset 0
    ) o on true
    cross join lateral (
      select c.segment_id
      from kata_data.merge_origin c
      where c.origin_segment_id = coalesce(o.origin_segment_id, s.segment_id)
        and c.origin_version = coalesce(o.origin_version, s.first_version)
      offset 0
    ) c);
end
$$;
comment on function kata_data.copy_segments(uuid, bigint) is
'Who has copies that go back to the same original as an entry of a context. Cost: O(copies).';

create or replace function kata_data.readers(segment_id uuid, version bigint) returns table (context_id uuid)
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
      and l.segment_id = readers.segment_id
      and readers.version between l.first_version and l.last_version
    offset 0
  ) l
  where o.context_id = readers.segment_id;
end
$$;
comment on function kata_data.readers(uuid, bigint) is 'The contexts whose path runs through a version of a segment. Cost: O(family × fork depth).';

create or replace function kata_data.summaries_of(segment_id uuid, version bigint)
returns table (summary_segment_id uuid, summary_version bigint)
language plpgsql stable rows 10
as $$
begin
  return query
  select y.segment_id, y.version
  from kata_data.readers(summaries_of.segment_id, summaries_of.version) r
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
'The summaries, of whatever context reads an entry, that may tell of it: they cover it, or what came after it, so that their writer was shown its
artifacts. Cost: O(family × fork depth + its summaries).';
