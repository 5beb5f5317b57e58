-- Deletion hides: messages leave the view and the list raw, keep their versions, and come back by undo. The head is locked before anything
-- is decided.
-- plans: writer

create or replace function kata.delete_messages(context_id uuid, first_version bigint, last_version bigint default null) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_view kata_data.view;
  v_versions int8multirange;
  v_open bigint;
begin
  v_head := kata_data.lock_context(context_id);
  v_versions := int8multirange(kata_data.check_range(context_id, first_version, last_version, v_head.version));
  v_view := kata_data.view_at(context_id, v_head.version);
  v_versions := kata_data.closed(
    context_id, kata_data.whole_groups(context_id, v_versions, v_head.version, v_view.rewound)) - v_view.rewound;
  v_open := (select min(g.version::bigint) from jsonb_object_keys(v_head.open_groups) g(version) where v_versions @> g.version::bigint);
  if v_open is not null then
    raise exception using
      errcode = 'KC005',
      message = format('version %s has an open call', v_open),
      detail = 'A result that comes after the deletion would answer a call that is not in the view.',
      hint = 'Close its calls first, with kata.close_calls.';
  end if;
  if not exists (select from kata_data.path_messages(delete_messages.context_id, v_versions - v_view.deleted) m)
    and not exists (select from unnest(v_view.replacements) r(version) where v_versions @> r.version) then
    perform kata_data.refuse_no_change('These versions hold no message, or all of them are deleted or rewound.');
  end if;
  return kata_data.add_change(v_head, kata_data.new_change('deletion', v_versions));
end
$$;
comment on function kata.delete_messages(uuid, bigint, bigint) is
'Deletes messages from the view of a context.

Neither a model nor the list raw shows them any more, here and in later forks; other contexts are not affected. They keep their versions,
count in raw_tokens, and kata.undo brings them back. To remove text permanently, use kata.erase_message.

context_id: the context.
first_version, last_version: the range of versions, widened to whole tool groups; last_version null: just the first. A summary in the
  range leaves the view, too; the messages that it covers stay covered.

Returns the version that the deletion took.
Errors: KC001, KC002, KC005 a call in the range is open, KC006, KC017 nothing would change, or the view would fall into too many pieces.
Locks: the head of the context. Cost: O(messages in the range).';
