-- Removes the content of acts. Digest and facts stay, so the chain is recomputed as before, and the content cannot be guessed.

create or replace function kata_data.blank_acts(
  segment_id uuid, version bigint, receipt kata_data.erasure, words_of bigint default null
) returns void
language plpgsql volatile
as $$
declare
  v_since timestamptz;
begin
  v_since := kata_data.entry_time(blank_acts.segment_id, blank_acts.version);
  update kata_data.checkpoint k
  set note = null
  from kata_data.contexts_reading(blank_acts.segment_id, blank_acts.version) r
  where k.context_id = r.context_id
    and k.note is not null
    and k.created_at >= v_since;
  update kata_data.compaction c
  set error = null
  from kata_data.contexts_reading(blank_acts.segment_id, blank_acts.version) r
  where c.context_id = r.context_id
    and c.status = 'failed'
    and c.error is not null
    and upper(c.covered) > coalesce(words_of, blank_acts.version);
  update kata_data.act a
  set salt = null, content = null, content_digest = kata_data.act_content_digest(a),
      act_context_id = receipt.act_context_id, act_number = receipt.act_number
  from kata_data.contexts_reading(blank_acts.segment_id, blank_acts.version) r
  where a.context_id = r.context_id
    and (a.kind = 'checkpoint' and a.content ? 'note' and a.acted_at >= v_since
      or a.kind = 'compaction' and a.content ? 'error' and (a.facts ->> 'status') = 'failed'
        and (a.facts ->> 'covered')::int8multirange && int8multirange(int8range(coalesce(words_of, blank_acts.version), null)));
end
$$;
comment on function kata_data.blank_acts(uuid, bigint, kata_data.erasure, bigint) is
'Removes the notes of checkpoints and the errors of compactions that may repeat an entry, with the acts that hold them.

A note may, if it was written after the entry by a context that reads it; an error, if the compaction covers the entry or later ones.
words_of: of an amendment, the message that it amends. Cost: O(family + acts of the contexts that read the entry).';

create or replace function kata_data.blank_own_acts(context_id uuid, act_number bigint) returns void
language plpgsql volatile
as $$
begin
  update kata_data.act a
  set salt = null, content = null, content_digest = kata_data.act_content_digest(a),
      act_context_id = blank_own_acts.context_id, act_number = blank_own_acts.act_number
  where a.context_id = blank_own_acts.context_id
    and a.content is not null;
end
$$;
comment on function kata_data.blank_own_acts(uuid, bigint) is
'Removes the content of all acts of a context that is purged; the acts and their digests stay.

act_number: of the act of the purge.';
