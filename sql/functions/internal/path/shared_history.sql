-- Two paths are the same as long as they run through the same segments, for a segment has one history before it. No entry is read.

create or replace function kata_data.shared_history(
  context_a uuid, newest_a bigint, context_b uuid, newest_b bigint, out segment_id uuid, out version bigint
)
language plpgsql stable
as $$
begin
  select a.segment_id, least(a.last_version, b.last_version, newest_a, newest_b)
  into shared_history.segment_id, shared_history.version
  from kata_data.lineage a
  join kata_data.lineage b on b.first_version = a.first_version and b.segment_id = a.segment_id
  where a.context_id = context_a
    and b.context_id = context_b
    and a.first_version <= least(newest_a, newest_b)
  order by a.first_version desc
  limit 1;
  version := coalesce(version, 0);
end
$$;
comment on function kata_data.shared_history(uuid, bigint, uuid, bigint) is
'The last version that two contexts share, and its segment; 0 and null where they share nothing.

Cost: O(fork depth).';
