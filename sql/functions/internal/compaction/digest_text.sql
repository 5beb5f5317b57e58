-- The summary that needs no model. It begins with the current state: the plan, the last words of the assistant. Requests, changes and
-- failures follow. The facts of digests that it absorbs are in their metadata, so nothing is read twice.

create or replace function kata_data.digest_text(compaction kata_data.compaction, out content text, out facts jsonb)
language plpgsql stable
as $$
declare
  v_tokenizer text;
  v_material jsonb;
  v_scale numeric;
begin
  select h.tokenizer into strict v_tokenizer from kata_data.head h where h.context_id = compaction.context_id;
  facts := kata_data.digest_facts(compaction);
  v_material := kata_data.digest_material(compaction, facts);
  -- Everything is cut in proportion until it fits: each part keeps what stands first in it.
  foreach v_scale in array array[1, 0.5, 0.25, 0.12, 0.06, 0.03, 0] loop
    content := kata_data.render_digest(facts, v_material, v_scale);
    exit when kata_data.message_tokens(content, null, null, v_tokenizer) <= kata_data.summary_budget(compaction);
  end loop;
end
$$;
comment on function kata_data.digest_text(kata_data.compaction) is
'The digest of what a compaction covers, made without a model, and the facts in it.

It keeps the budget of a summary, as far as its smallest form allows. Cost: O(covered).';

create or replace function kata_data.is_gainless_digest(compaction kata_data.compaction) returns boolean
language plpgsql stable
as $$
declare
  v_tokenizer text;
begin
  if compaction.strategy <> 'digest' then
    return false;
  end if;
  select h.tokenizer into strict v_tokenizer from kata_data.head h where h.context_id = compaction.context_id;
  return kata_data.message_tokens((kata_data.digest_text(compaction)).content, null, null, v_tokenizer) >= compaction.source_tokens;
end
$$;
comment on function kata_data.is_gainless_digest(kata_data.compaction) is
'Whether the digest of a compaction would be as long as what it replaces.

It stays the same until there is more to cover; a model may write a shorter one. Cost: O(covered).';
