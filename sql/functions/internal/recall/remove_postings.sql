-- Removes from the index what an erased or purged message said. The caller holds the mark of the segment: lock_marks took it before a head.

create or replace function kata_data.forget_postings(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
begin
  perform kata_data.lock_marks(array[segment_id]);
  -- By the items, not by the terms of the text: another analyzer may have made them.
  update kata_data.posting p
  set items = array(select i.item from unnest(p.items) i(item) where p.first_version + (i.item >> 8) <> forget_postings.version order by i.item)
  where p.segment_id = forget_postings.segment_id
    and p.first_version between forget_postings.version - 16383 and forget_postings.version
    and exists (select from unnest(p.items) i(item) where p.first_version + (i.item >> 8) = forget_postings.version);
  delete from kata_data.posting p
  where p.segment_id = forget_postings.segment_id
    and p.first_version between forget_postings.version - 16383 and forget_postings.version
    and p.items = '{}';
end
$$;
comment on function kata_data.forget_postings(uuid, bigint) is
'Removes the terms of a message that is erased. Cost: O(postings of the segment).';

create or replace function kata_data.trim_postings(segment_id uuid, through bigint) returns void
language plpgsql volatile
as $$
begin
  perform kata_data.lock_marks(array[segment_id]);
  delete from kata_data.posting p
  where p.segment_id = trim_postings.segment_id
    and p.first_version > through;
  update kata_data.posting p
  set items = array(select i.item from unnest(p.items) i(item) where p.first_version + (i.item >> 8) <= through order by i.item)
  where p.segment_id = trim_postings.segment_id
    and p.first_version + (p.items[cardinality(p.items)] >> 8) > through;
  delete from kata_data.posting p
  where p.segment_id = trim_postings.segment_id
    and p.items = '{}';
  -- The mark stays, so that a transaction with an older snapshot still meets it.
  update kata_data.search_mark m
  set indexed_through = greatest(through, kata_data.segment_start(m.segment_id))
  where m.segment_id = trim_postings.segment_id
    and m.indexed_through > through;
end
$$;
comment on function kata_data.trim_postings(uuid, bigint) is
'Removes the terms of a segment above a version, about to be purged; above -1, all. Cost: O(postings of the segment).';
