-- Fills the index of one segment. Chunks of 64 versions grow with each call; sixteen full ones of a size become one of the next, up to
-- 16,384. A long stretch is written in chunks of 1,024 at once. So each posting is written three times at most, and chunks begin at
-- multiples of their size, which keeps the distances of their items small.

create or replace function kata_data.index_segment(segment_id uuid, low bigint, high bigint, config text) returns void
language plpgsql volatile
as $$
declare
  v_low bigint := low;
  v_size bigint;
  v_end bigint;
begin
  while v_low <= high loop
    v_size := case when v_low % 1024 = 0 and high - v_low >= 1023 then 1024 else 64 end;
    v_end := least(v_low / v_size * v_size + v_size - 1, high);
    insert into kata_data.posting as p (segment_id, term, first_version, items)
    select index_segment.segment_id, t.term, v_low / v_size * v_size,
      array_agg(((t.version - v_low / v_size * v_size) * 256 + t.weight)::integer order by t.version)
    from kata_data.message_terms(index_segment.segment_id, v_low, v_end, config) t
    group by t.term
    on conflict on constraint posting_pkey do update
    set items = p.items || excluded.items;
    v_low := v_end + 1;
    if v_low % 1024 = 0 and v_size = 64 then
      perform kata_data.merge_postings(index_segment.segment_id, v_low - 1024, v_end);
    end if;
    if v_low % 16384 = 0 then
      perform kata_data.merge_postings(index_segment.segment_id, v_low - 16384, v_end);
    end if;
  end loop;
end
$$;
comment on function kata_data.index_segment(uuid, bigint, bigint, text) is
'Writes the postings of messages that follow those that are indexed.

segment_id: the segment. low, high: the messages. config: a text search configuration.
The caller holds the mark of the segment. Cost: linear in the length of the messages.';

create or replace function kata_data.merge_postings(segment_id uuid, low bigint, high bigint) returns void
language plpgsql volatile
as $$
begin
  with part as (
    delete from kata_data.posting p
    where p.segment_id = merge_postings.segment_id
      and p.first_version between low and high
    returning p.term, p.first_version, p.items
  )
  insert into kata_data.posting (segment_id, term, first_version, items)
  select merge_postings.segment_id, p.term, low, array_agg(i.item + ((p.first_version - low) * 256)::integer order by p.first_version, i.item)
  from part p
  cross join lateral unnest(p.items) i(item)
  group by p.term;
end
$$;
comment on function kata_data.merge_postings(uuid, bigint, bigint) is
'Makes one chunk, which begins at low, of all that begin between two versions. Cost: O(postings of the segment).';
