-- The act of an erasure, in the chain of the context through which it was asked for, whose head is locked. Receipts, compactions that it
-- ended and acts that it blanked name it; it names them.

create or replace function kata_data.next_receipt(context_id uuid, reason text) returns kata_data.erasure
language plpgsql volatile
as $$
declare
  v_receipt kata_data.erasure;
begin
  v_receipt.reason := reason;
  v_receipt.erased_by := kata_data.caller();
  v_receipt.erased_at := kata_data.clock();
  v_receipt.act_context_id := context_id;
  v_receipt.act_number := coalesce(
    (select a.number from kata_data.act a where a.context_id = next_receipt.context_id order by a.number desc limit 1), 0) + 1;
  return v_receipt;
end
$$;
comment on function kata_data.next_receipt(uuid, text) is
'What all receipts of an erasure have in common, with the number that its act will take. The caller holds the lock of the head.';

create or replace function kata_data.add_erasure(receipt kata_data.erasure, entries kata_data.concerned_entry[]) returns void
language plpgsql volatile
as $$
declare
  v_facts jsonb;
begin
  v_facts := kata_data.facts_of_erasure(receipt, entries);
  if v_facts <> '{}' then
    perform kata_data.add_act(
      receipt.act_context_id, 'erase', v_facts, jsonb_build_object('reason', receipt.reason), receipt.erased_at);
  end if;
end
$$;
comment on function kata_data.add_erasure(kata_data.erasure, kata_data.concerned_entry[]) is
'Adds the act of an erasure. One that changed nothing has none.';

create or replace function kata_data.facts_of_erasure(receipt kata_data.erasure, entries kata_data.concerned_entry[]) returns jsonb
language plpgsql stable
as $$
begin
  return (
    with entry as (
      select distinct e.segment_id, e.version from unnest(entries) e where e.what in ('message', 'copy', 'amendment')
    ),
    reader as materialized (
      select distinct r.context_id from entry e cross join lateral kata_data.contexts_reading(e.segment_id, e.version) r
    )
    select jsonb_strip_nulls(jsonb_build_object(
      'entries', (
        select jsonb_agg(
          jsonb_build_array(r.segment_id, r.version, r.what, encode(r.content_digest, 'hex')) order by r.segment_id, r.version)
        from entry e
        join kata_data.erasure r on r.segment_id = e.segment_id and r.version = e.version
        where (r.act_context_id, r.act_number) = (receipt.act_context_id, receipt.act_number)),
      'ended', (
        select jsonb_agg(c.compaction_id order by c.compaction_id)
        from reader r
        join kata_data.compaction c on c.context_id = r.context_id
        where (c.act_context_id, c.act_number) = (receipt.act_context_id, receipt.act_number)),
      'acts', (
        select jsonb_agg(jsonb_build_array(a.context_id, a.number) order by a.context_id, a.number)
        from reader r
        join kata_data.act a on a.context_id = r.context_id
        where (a.act_context_id, a.act_number) = (receipt.act_context_id, receipt.act_number)))));
end
$$;
comment on function kata_data.facts_of_erasure(kata_data.erasure, kata_data.concerned_entry[]) is
'What an erasure has done: the entries that it redacted, with what and the digest of their content, the compactions that it ended, the acts
that it blanked. An empty object where it did nothing.';
