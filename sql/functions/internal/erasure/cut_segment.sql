-- A purge: one statement for each table that has rows above the version; and what is left of the context.

create or replace function kata_data.cut_segment(segment_id uuid, reach bigint) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.message m where m.segment_id = cut_segment.segment_id and m.version > reach;
  delete from kata_data.entry_id i where i.segment_id = cut_segment.segment_id and i.version > reach;
  delete from kata_data.token_count t where t.segment_id = cut_segment.segment_id and t.version > reach;
  -- An origin that leads from a message to the copies of its copies stays, so that an erasure finds them.
  delete from kata_data.merge_origin o
  where o.segment_id = cut_segment.segment_id
    and o.version > reach
    and not exists (
      select from kata_data.merge_origin c
      where c.origin_segment_id = o.origin_segment_id
        and c.origin_version = o.origin_version
        and c.source_segment_id = o.segment_id
        and c.source_version = o.version);
  delete from kata_data.stub s
  where s.segment_id = cut_segment.segment_id
    and s.version > reach;
  -- Stubs and amendments of a fork may be of an ancestor's messages.
  delete from kata_data.stub s
  using kata_data.view_change v
  where v.segment_id = cut_segment.segment_id
    and v.version > reach
    and s.change_id = v.change_id;
  delete from kata_data.amendment a
  where a.segment_id = cut_segment.segment_id
    and a.version > reach;
  delete from kata_data.amendment a
  using kata_data.view_change v
  where v.segment_id = cut_segment.segment_id
    and v.version > reach
    and a.change_id = v.change_id;
  delete from kata_data.summary y where y.segment_id = cut_segment.segment_id and y.version > reach;
  delete from kata_data.record r where r.segment_id = cut_segment.segment_id and r.version > reach;
  delete from kata_data.view_change v where v.segment_id = cut_segment.segment_id and v.version > reach;
  delete from kata_data.compaction n
  where n.context_id = cut_segment.segment_id
    and (n.summary_version <= reach) is not true;
  perform kata_data.trim_artifacts(cut_segment.segment_id, reach);
  perform kata_data.trim_postings(cut_segment.segment_id, reach);
  perform kata_data.trim_embeddings(cut_segment.segment_id, reach);
  delete from kata_data.erasure e where e.segment_id = cut_segment.segment_id and e.version > reach;
  delete from kata_data.checkpoint p where p.context_id = cut_segment.segment_id and p.version > reach;
  perform kata_data.cut_requests(cut_segment.segment_id, reach);
end
$$;
comment on function kata_data.cut_segment(uuid, bigint) is
'Removes what a context wrote above a version, and what was derived from it.

Runs as kata_eraser: the triggers of the log refuse every other role. The caller holds the lock of the family. Cost: O(rows removed).';

create or replace function kata_data.make_tombstone(purged kata_data.context, purged_at timestamptz, cuts jsonb) returns void
language plpgsql volatile
as $$
begin
  perform kata_data.blank_own_acts(
    purged.context_id,
    kata_data.add_act(purged.context_id, 'purge', jsonb_build_object('cuts', cuts), acted_at => make_tombstone.purged_at));
  perform kata_data.forget_keys(purged);
  delete from kata_data.compaction_guard g where g.context_id = purged.context_id;
  delete from kata_data.attachment a where a.context_id = purged.context_id;
  update kata_data.context c
  set name = null, metadata = '{}', policy = kata_data.search_policy(c.policy), purged_at = make_tombstone.purged_at,
      updated_at = make_tombstone.purged_at
  where c.context_id = purged.context_id;
  update kata_data.head h
  set is_strict = true, notifies = false, summarizes = true, due_at = null, due_tokens = null, due_messages = null,
      open_calls = '{}', open_groups = '{}', oldest_open_group = null
  where h.context_id = purged.context_id;
end
$$;
comment on function kata_data.make_tombstone(kata_data.context, timestamptz, jsonb) is
'Leaves of a purged context what its forks need: no name, no metadata, no policy except the search_config that they search with.

cuts: for each segment that lost entries the array of its id, entries removed and entries kept; the act of the purge keeps them.';
