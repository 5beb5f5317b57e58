-- Compactions that run while a message is erased: their summaries are made from what the message said.

create or replace function kata_data.end_compactions(
  segment_id uuid, version bigint, receipt kata_data.erasure, words_of bigint default null
) returns void
language plpgsql volatile
as $$
begin
  update kata_data.compaction c
  set status = 'aborted',
      error = format('Version %s was erased, and its summary may repeat it.', end_compactions.version),
      finished_at = receipt.erased_at,
      act_context_id = receipt.act_context_id,
      act_number = receipt.act_number
  from kata_data.contexts_reading(end_compactions.segment_id, end_compactions.version) r
  where c.context_id = r.context_id
    and c.status = 'running'
    and upper(c.covered) > coalesce(words_of, end_compactions.version);
end
$$;
comment on function kata_data.end_compactions(uuid, bigint, kata_data.erasure, bigint) is
'Ends the compactions, of every context that reads an entry, whose summaries may repeat it.

words_of: of an amendment, the message that it amends.

Waits for one that is being committed, whose summary is then seen. The caller holds the lock of the family. Cost: O(family × fork depth).';
