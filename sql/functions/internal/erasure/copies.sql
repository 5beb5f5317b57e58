-- Merges copy messages. merge_origin leads from a copy to the message that it was copied from, its source, and to the first in a chain of
-- copies, its origin.

create or replace function kata_data.are_of_one_tenant(context_id uuid, other_id uuid) returns boolean
language plpgsql stable
as $$
begin
  return (select h.tenant from kata_data.head h where h.context_id = are_of_one_tenant.context_id)
    = (select h.tenant from kata_data.head h where h.context_id = other_id);
end
$$;
comment on function kata_data.are_of_one_tenant(uuid, uuid) is
'Whether two contexts are of one tenant; null where one is not there.

An import can store an origin that names a context of another tenant, whose family comes later. Heads show all tenants.';

create or replace function kata_data.copies_of(source_segment_id uuid, source_version bigint)
returns table (segment_id uuid, version bigint)
language plpgsql stable rows 1
as $$
declare
  v_origin_segment uuid;
  v_origin_version bigint;
begin
  select o.origin_segment_id, o.origin_version into v_origin_segment, v_origin_version
  from kata_data.merge_origin o
  where o.segment_id = copies_of.source_segment_id
    and o.version = copies_of.source_version;
  return query
  select c.segment_id, c.version
  from kata_data.merge_origin c
  where c.origin_segment_id = coalesce(v_origin_segment, copies_of.source_segment_id)
    and c.origin_version = coalesce(v_origin_version, copies_of.source_version)
    and c.source_segment_id = copies_of.source_segment_id
    and c.source_version = copies_of.source_version
    and kata_data.are_of_one_tenant(c.segment_id, copies_of.source_segment_id)
  order by c.segment_id, c.version;
end
$$;
comment on function kata_data.copies_of(uuid, bigint) is
'The copies made of a message itself, without the copies of these, by segment and version; only those of its tenant.

Cost: O(copies of the same origin).';

create or replace function kata_data.originals_of(segment_id uuid, version bigint) returns setof kata_data.concerned_entry
language sql stable rows 1
as $$
  with recursive source as (
    select o.source_segment_id, o.source_version
    from kata_data.merge_origin o
    where o.segment_id = originals_of.segment_id
      and o.version = originals_of.version
    -- Without duplicates: a chain that an import has closed ends.
    union
    -- A source that was purged: what it was copied from.
    select o.source_segment_id, o.source_version
    from source s
    cross join lateral (
      select o.source_segment_id, o.source_version
      from kata_data.merge_origin o
      where o.segment_id = s.source_segment_id
        and o.version = s.source_version
      offset 0
    ) o
    where not exists (
      select from kata_data.message m
      where m.segment_id = s.source_segment_id
        and m.version = s.source_version
      offset 0)
  )
  select s.source_segment_id, s.source_version, 'original'
  from source s
  cross join lateral (
    select
    from kata_data.message m
    where m.segment_id = s.source_segment_id
      and m.version = s.source_version
    offset 0
  ) m
  where kata_data.are_of_one_tenant(s.source_segment_id, originals_of.segment_id)
$$;
comment on function kata_data.originals_of(uuid, bigint) is
'The message of the tenant that a copy was made from, past copies that were purged.';

create or replace function kata_data.path_amendment(context_id uuid, version bigint) returns kata_data.amendment
language plpgsql volatile
as $$
begin
  return (
    select kata_data.amendment_target(s.segment_id, path_amendment.version)
    from kata_data.segments(path_amendment.context_id, path_amendment.version, path_amendment.version) s);
end
$$;
comment on function kata_data.path_amendment(uuid, bigint) is
'The words of the amendment that took a version of a path; all null where none did.';

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
    ) c
    where kata_data.are_of_one_tenant(c.segment_id, copy_segments.context_id));
end
$$;
comment on function kata_data.copy_segments(uuid, bigint) is
'The segments of the tenant with copies that go back to the same origin as an entry of a context. Cost: O(copies).';
